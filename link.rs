//! How the programs are linked that hold the query engine, which are the largest ones: the
//! build script of both their packages.

fn main() {
    println!("cargo:rerun-if-changed=../link.rs");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    // rustc's own linker for this platform, lld, knows both.
    let has_lld = of("CARGO_CFG_TARGET_ARCH") == "x86_64" && of("CARGO_CFG_TARGET_OS") == "linux";
    if has_lld && of("CARGO_CFG_TARGET_ENV") == "gnu" && of("PROFILE") == "release" {
        // Functions of the same instructions are there once.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        // What the loader adds the program's address to takes a bit each, not 24 bytes
        // (glibc 2.36, Debian 12).
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
