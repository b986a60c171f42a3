//! Metric math from text to a tree ("Metric math syntax and functions").

/// Deepest nesting: a bound of this program.
const DEPTH: usize = 40;
/// Longest chain of operators that bind alike, such as a sum.
const CHAIN: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twin::cloudwatch) enum Expr {
    Number(f64),
    Text(String),
    /// A query's id, or a keyword in capitals.
    Word(String),
    Call(String, Vec<Expr>),
    List(Vec<Expr>),
    Negative(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::twin::cloudwatch) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 19] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "^", "(", ")", "[", "]", ",", "="];

impl Expr {
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let expr = parser.binary(0)?;
        match parser.tokens.first() {
            None => Ok(expr),
            Some(token) => Err(format!("unexpected {token:?}")),
        }
    }

    /// Calls `see` with every word and every call's name and arguments.
    pub fn walk<'a>(&'a self, see: &mut impl FnMut(&'a Expr)) {
        see(self);
        match self {
            Self::Call(_, inner) | Self::List(inner) => inner.iter().for_each(|inner| inner.walk(see)),
            Self::Negative(inner) => inner.walk(see),
            Self::Binary(_, left, right) => {
                left.walk(see);
                right.walk(see);
            }
            Self::Number(_) | Self::Text(_) | Self::Word(_) => {}
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let cut = |wanted: &dyn Fn(char) -> bool| rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let (token, length) = if first.is_ascii_digit() || first == '.' {
            let length = cut(&|c| c.is_ascii_digit() || c == '.');
            let (number, _) = rest.split_at(length);
            (Token::Number(number.parse().map_err(|_| format!("{number} is not a number"))?), length)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = cut(&|c| c.is_ascii_alphanumeric() || c == '_');
            (Token::Word(rest.split_at(length).0.to_owned()), length)
        } else if first == '\'' || first == '"' {
            let inner = rest.split_at(1).1;
            let (inner, _) = inner.split_once(first).ok_or("a text is not closed")?;
            (Token::Text(inner.to_owned()), inner.len() + 2)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("unexpected {first}"))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push(token);
        rest = rest.split_at(length).1.trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

/// Operators from the weakest; those of one row bind from the left.
const LEVELS: [&[(&str, Op)]; 6] = [
    &[("||", Op::Or)],
    &[("&&", Op::And)],
    &[
        ("==", Op::Equal),
        ("!=", Op::Unequal),
        ("<=", Op::LessEqual),
        (">=", Op::GreaterEqual),
        ("<", Op::Less),
        (">", Op::Greater),
    ],
    &[("+", Op::Add), ("-", Op::Subtract)],
    &[("*", Op::Multiply), ("/", Op::Divide)],
    &[("^", Op::Power)],
];

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.first(), Some(Token::Sign(found)) if *found == sign);
        if found {
            self.next();
        }
        found
    }

    fn operator(&self, level: usize) -> Option<Op> {
        let sign = match self.tokens.first()? {
            Token::Sign(sign) => *sign,
            Token::Word(word) if word == "AND" => "&&",
            Token::Word(word) if word == "OR" => "||",
            _ => return None,
        };
        LEVELS.get(level)?.iter().find(|(name, _)| *name == sign).map(|(_, op)| *op)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        if level >= LEVELS.len() {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        let mut chain = 0;
        while let Some(op) = self.operator(level) {
            self.next();
            let right = self.binary(level + 1)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
            // The tree leans to the left: as deep as the chain is long.
            chain += 1;
            if chain > CHAIN {
                return Err("the expression is too long".to_owned());
            }
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        let expr = self.primary();
        self.depth -= 1;
        expr
    }

    fn primary(&mut self) -> Result<Expr, String> {
        if self.take("-") {
            return Ok(Expr::Negative(Box::new(self.unary()?)));
        }
        match self.next() {
            Some(Token::Number(number)) => Ok(Expr::Number(number)),
            Some(Token::Text(text)) => Ok(Expr::Text(text)),
            Some(Token::Word(name)) if self.take("(") => Ok(Expr::Call(name, self.list(")")?)),
            Some(Token::Word(word)) => Ok(Expr::Word(word)),
            Some(Token::Sign("[")) => Ok(Expr::List(self.list("]")?)),
            Some(Token::Sign("(")) => {
                let inner = self.binary(0)?;
                if self.take(")") { Ok(inner) } else { Err("a parenthesis is not closed".to_owned()) }
            }
            Some(token) => Err(format!("unexpected {token:?}")),
            None => Err("the expression ends too early".to_owned()),
        }
    }

    fn list(&mut self, close: &str) -> Result<Vec<Expr>, String> {
        let mut items = Vec::new();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            items.push(self.binary(0)?);
            if self.take(close) {
                return Ok(items);
            }
            if !self.take(",") {
                return Err(format!("{close} is missing"));
            }
        }
    }
}
