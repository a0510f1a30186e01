import Foundation

/// What bubblewrap is told: the world that a program sees, and the program.
struct SandboxCommand {
    var program: String
    var arguments: [String]
    /// Name in the working folder → content.
    var files: [String: String]
    var input: String
    /// Folders besides the system's that the program may read.
    var readable: [String]

    /// Bubblewrap, and the two helpers of util-linux.
    static let bubblewrap = "/usr/bin/bwrap"
    static let limiter = "/usr/bin/prlimit"
    static let privilegeDropper = "/usr/bin/setpriv"

    /// Debian's and most systems' numbers for nobody and nogroup.
    private static let nobody = "65534"

    func start(limits: SandboxLimits, output: Descriptor, errors: Descriptor, status: Descriptor) throws(ChildProcess.Failure) -> ChildProcess {
        var descriptors = [try Descriptor.holding(Data(input.utf8)), output, errors, status, try Descriptor.holding(SeccompFilter.program)]
        var options = [
            "--unshare-all", "--unshare-user", "--disable-userns", "--uid", Self.nobody, "--gid", Self.nobody, "--cap-drop", "ALL",
            "--hostname", "sandbox", "--new-session", "--die-with-parent", "--as-pid-1", "--json-status-fd", "3", "--seccomp", "4", "--clearenv",
        ]
        // A fixed seed of hashes: a program that depends on the order of a set gets the same verdict every time.
        for (name, value) in ["PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"] { options += ["--setenv", name, value] }
        options += ["--ro-bind", "/usr", "/usr"]
        for folder in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
            if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: folder) {
                options += ["--symlink", target, folder]
            } else {
                options += ["--ro-bind-try", folder, folder]
            }
        }
        for path in ["/etc/alternatives", "/etc/ld.so.cache"] { options += ["--ro-bind-try", path, path] }
        options += ["--dev", "/dev", "--size", "\(limits.temporaryBytes)", "--tmpfs", "/tmp", "--chdir", "/tmp"]
        for folder in readable { options += ["--ro-bind", folder, folder] }
        for (name, content) in files.sorted(by: { $0.key < $1.key }) {
            options += ["--file", "\(descriptors.count)", "/tmp/\(name)"]
            descriptors.append(try Descriptor.holding(Data(content.utf8)))
        }
        // The two file systems of bubblewrap itself have no limit of size. There is no /proc: no program needs it, and it shows one process another's.
        options += ["--remount-ro", "/dev", "--remount-ro", "/"]

        let bounds = [
            "--core=0", "--cpu=\(limits.cpuSeconds):\(limits.cpuSeconds + 1)", "--as=\(limits.addressSpaceBytes)", "--nproc=\(limits.processes)",
            "--fsize=\(limits.fileBytes)", "--nofile=\(limits.openFiles)", "--memlock=0", "--msgqueue=0",
        ]
        // The shell is the first process inside: its end is the end of all. What it says of signals is not the program's.
        let shell = ["/bin/sh", "-c", "exec 3>&2 2>/dev/null; (exec \"$@\" 2>&3 3>&-); exit $?", "sh", program] + arguments
        var command = [Self.bubblewrap] + options + ["--", Self.limiter] + bounds + ["--"] + shell
        // The kernel never holds root to a number of processes, whatever root is called inside.
        if geteuid() == 0 { command = [Self.privilegeDropper, "--reuid", Self.nobody, "--regid", Self.nobody, "--clear-groups"] + command }
        return try ChildProcess(command[0], arguments: Array(command.dropFirst()), environment: ["PATH": "/usr/bin:/bin"], descriptors: descriptors)
    }
}
