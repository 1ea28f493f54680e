//! Requests to callgrind, which runs the process and counts its instructions.
//!
//! This file uses `unsafe`: a request is an instruction sequence without effect that valgrind recognises (its manual,
//! "The Client Request mechanism"). Outside of valgrind, and on other processors, nothing happens.

const TOOL: u64 = ((b'C' as u64) << 24) | ((b'T' as u64) << 16);

/// Writes what was counted so far to the next file and begins again at nought.
pub fn dump() {
    request(TOOL);
}

/// Begins to count.
pub fn start() {
    request(TOOL + 4);
}

/// Stops counting.
pub fn stop() {
    request(TOOL + 5);
}

#[cfg(target_arch = "x86_64")]
fn request(code: u64) {
    let arguments = [code, 0, 0, 0, 0, 0];
    // SAFETY: the four rotations add up to 128 bits and so leave `rdi` as it was; exchanging `rbx` with itself is no
    // operation. Valgrind reads the six words that `rax` points to and writes its answer to `rdx`.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") 0_u64 => _,
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn request(_: u64) {}
