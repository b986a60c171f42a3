//! What the page says in words: the findings, the use of each stage, the decisions, the meaning of the codes.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{clock, escaped, words::thousands};
use crate::{
    cli::{
        diagnose::Diagnosed,
        progress::human,
        render::diagnosis::{end, since, word},
        status,
    },
    diagnose::{Confidence, Diagnosis, Finding, Severity, page},
};

/// The class of a severity in the style sheet.
pub fn class(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::Warning) => "warning",
        Some(Severity::Info) => "info",
        None => "healthy",
    }
}

/// One card a finding, the one to act on first in front.
pub fn findings(html: &mut String, diagnosed: &Diagnosed) {
    html.push_str("<section aria-labelledby=\"findings\"><h2 id=\"findings\">Findings</h2>");
    if diagnosed.review.findings.is_empty() {
        html.push_str("<p>Nothing is wrong, and nothing soon will be as far as can be seen.</p>");
    }
    html.push_str("<div class=\"cards\">\n");
    for finding in &diagnosed.review.findings {
        card(html, finding, diagnosed);
    }
    html.push_str("</div></section>\n");
}

fn card(html: &mut String, finding: &Finding, diagnosed: &Diagnosed) {
    let code = finding.diagnosis.code();
    let title = page(finding.diagnosis).map_or(code, |page| page.title);
    let _ = write!(
        html,
        "<article class=\"{}\"><h3><span class=\"badge\">{}</span>{}</h3>\
         <p class=\"note\"><a href=\"#code-{code}\">{code}</a> at {}{}</p><p>{}{}</p><dl>",
        class(Some(finding.severity)),
        word(finding.severity),
        escaped(title),
        escaped(&finding.resource),
        since(finding, diagnosed).map_or(String::new(), |since| format!(", {since}")),
        escaped(&finding.summary),
        match finding.confidence {
            Confidence::High => "",
            Confidence::Medium => " Not certain.",
            Confidence::Low => " A guess among several.",
        }
    );
    let mut row = |name: &str, text: &str| {
        let _ = write!(html, "<dt>{name}<dd>{text}");
    };
    if let Some(outlook) = &finding.outlook {
        let left = human(outlook.at.duration_since(end(diagnosed)));
        row("Leads to", &format!("{}, in {left} ({} UTC)", escaped(&outlook.what), outlook.at.strftime("%b %d %H:%M")));
    }
    row("Operator", &escaped(&finding.remedy));
    if let Some(person) = &finding.person {
        row("You", &escaped(person));
    }
    if finding.evidence.is_empty() {
        html.push_str("</dl></article>\n");
    } else {
        let numbers = finding.evidence.iter().map(|it| {
            let limit = it.limit.map_or(String::new(), |limit| format!(" (against {})", thousands(limit)));
            format!("{} {}{limit}", escaped(&it.name), thousands(it.value))
        });
        let numbers = numbers.collect::<Vec<_>>().join("; ");
        let _ = writeln!(html, "</dl><details><summary>Numbers</summary>{numbers}</details></article>");
    }
}

/// Used against capacity, stage by stage.
pub fn now(html: &mut String, diagnosed: &Diagnosed) {
    let _ = write!(
        html,
        "<section class=\"panel\" aria-labelledby=\"now\"><h2 id=\"now\" style=\"margin-top:0\">Used of capacity at {} UTC</h2>\
         <div class=\"wide\"><table><thead><tr><th scope=\"col\">Stage<th scope=\"col\">Used<th scope=\"col\">Capacity\
         <th scope=\"col\">Share<th scope=\"col\">Unit<tbody>",
        clock(end(diagnosed))
    );
    for stage in status::stages(&diagnosed.pipeline, &diagnosed.facts, &diagnosed.estimates) {
        let number = |value: Option<f64>, none: &str| value.map_or(none.to_owned(), thousands);
        let share = stage.used.zip(stage.capacity).map(|(used, most)| used / most * 100.0);
        let _ = write!(
            html,
            "\n<tr><th scope=\"row\">{} {}<td>{}<td>{}<td>{}<td>{}",
            escaped(&stage.resource),
            stage.what,
            number(stage.used, "unknown"),
            number(stage.capacity, "no fixed limit"),
            share.map_or("-".to_owned(), |share| format!("{share:.0} %")),
            stage.unit
        );
    }
    html.push_str("</table></div></section>\n");
}

/// What the operator did in the time that is shown, newest first.
pub fn decisions(html: &mut String, diagnosed: &Diagnosed) {
    html.push_str("<section class=\"panel\" aria-labelledby=\"decisions\"><h2 id=\"decisions\" style=\"margin-top:0\">Decisions</h2>");
    let own = diagnosed.decisions.iter().rev().filter(|decision| decision.at >= diagnosed.from);
    let items: Vec<String> =
        own.map(|decision| format!("<li>{}", escaped(super::super::status::decision_text(decision)))).collect();
    if items.is_empty() {
        html.push_str(
            "<p>None in this time is known here: the daemon did not run, or it kept its state elsewhere.</p>",
        );
    } else {
        let _ = write!(html, "<ul>{}</ul>", items.concat());
    }
    html.push_str("</section>\n");
}

/// The pages of the codes that the page names.
pub fn codes(html: &mut String, diagnosed: &Diagnosed) {
    let found = diagnosed.review.findings.iter().map(|finding| finding.diagnosis);
    let past = diagnosed.review.episodes.iter().map(|episode| episode.diagnosis);
    let named: BTreeSet<Diagnosis> = found.chain(past).collect();
    html.push_str(
        "<section aria-labelledby=\"codes\"><h2 id=\"codes\">What the codes mean</h2><div class=\"cards\">\n",
    );
    for page in named.into_iter().filter_map(page) {
        let _ = write!(
            html,
            "<article class=\"info\" id=\"code-{}\"><h3>{}: {}</h3><p>{}</p><p>{}</p><p><strong>What to do.</strong> {}</p>",
            page.code,
            page.code,
            escaped(page.title),
            escaped(page.seen),
            escaped(page.why),
            escaped(page.remedy)
        );
        for it in page.thresholds {
            let _ = write!(
                html,
                "<p class=\"note\"><code>{}</code> {} {}. {}</p>",
                it.name,
                it.value,
                escaped(it.unit),
                escaped(it.source)
            );
        }
        let _ = writeln!(html, "<p class=\"note\">Source: {}.</p></article>", escaped(page.source));
    }
    html.push_str("</div></section>\n");
}
