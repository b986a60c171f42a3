//! The `alleycat-operator` binary: parses arguments and hands over to `cli`.

/// A third of a simulated day goes into allocation with the system's allocator (`cargo bench --bench day`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    alleycat_operator::cli::main(std::env::args_os()).into()
}
