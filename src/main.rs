//! The `alleycat-operator` binary: parses arguments and hands over to `cli`.

fn main() -> std::process::ExitCode {
    alleycat_operator::cli::main(std::env::args_os()).into()
}
