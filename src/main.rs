//! The `tollgate` command: arguments in, exit code out; everything else lives in the library.

/// With the system's allocator, an eighth of a request's CPU time goes into taking memory and giving it back.
///
/// It is built without huge pages (`no_thp`): a gateway at rest touches a little of many of them, and holds all of each.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tollgate::cli::main()
}
