/// Why no program could be run in a sandbox. Nothing ran.
public enum SandboxError: Error, Equatable, CustomStringConvertible {
    case unsupported(system: String)
    case missing(program: String, package: String)
    case refused(reason: String)
    case notStarted(program: String, reason: String)
    case badFileName(String)

    public var description: String {
        switch self {
        case .unsupported(let system):
            "Programs cannot be run in a sandbox on \(system): it needs bubblewrap and Linux. Run this on Linux, or in a Linux virtual machine."
        case .missing(let program, let package):
            "Programs cannot be run in a sandbox: \(program) is missing. Install it with: sudo apt-get install -y \(package)"
        case .refused(let reason):
            "Programs cannot be run in a sandbox: bubblewrap (0.8 or newer) could not make one: \(reason). It needs user namespaces: on the machine, "
                + "'sysctl user.max_user_namespaces' must not be 0, 'sysctl kernel.unprivileged_userns_clone' must be 1 and "
                + "'sysctl kernel.apparmor_restrict_unprivileged_userns' 0, where they exist; a container must be started with them allowed "
                + "(docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined)."
        case .notStarted(let program, let reason):
            "\(program) could not be started in the sandbox: \(reason). Check its path, and that other users may read it and its folders."
        case .badFileName(let name):
            "A file in the sandbox cannot be called '\(name)'. Use a plain name without '/'."
        }
    }
}
