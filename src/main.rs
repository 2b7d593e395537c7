//! The `tollgate` command: arguments in, exit code out; everything else lives in the library.

fn main() -> std::process::ExitCode {
    tollgate::cli::main()
}
