import Foundation

/// The system calls that a sandboxed program may not make, as a program for the kernel's packet filter.
///
/// Namespaces and lost capabilities already refuse most of these. The filter closes what they leave open: sockets that no network namespace
/// holds (AF_VSOCK reaches a virtual machine's host), memory that no limit counts, the keyring, and one process reading another's memory.
enum SeccompFilter {
    /// Numbers on x86-64 and on 64-bit ARM.
    private static let refused: [(x86: UInt32, arm: UInt32)] = [
        // Other processes' memory and descriptors: ptrace, process_vm_readv, process_vm_writev, pidfd_getfd, userfaultfd.
        (101, 117), (310, 270), (311, 271), (438, 438), (323, 282),
        // Memory outside every limit: memfd_create, memfd_secret, shmget, semget, msgget, mq_open.
        (319, 279), (447, 447), (29, 194), (64, 190), (68, 186), (240, 180),
        // The keyring: add_key, request_key, keyctl.
        (248, 217), (249, 218), (250, 219),
        // Namespaces and mounts: unshare, setns, mount, umount2, pivot_root, chroot, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick,
        // mount_setattr.
        (272, 97), (308, 268), (165, 40), (166, 39), (155, 41), (161, 51), (428, 428), (429, 429), (430, 430), (431, 431), (432, 432), (433, 433),
        (442, 442),
        // The kernel: io_uring_setup, bpf, perf_event_open, init_module, finit_module, delete_module, kexec_load, kexec_file_load, reboot, swapon,
        // swapoff, syslog, acct, quotactl, name_to_handle_at, open_by_handle_at, fanotify_init.
        (425, 425), (321, 280), (298, 241), (175, 105), (313, 273), (176, 106), (246, 104), (320, 294), (169, 142), (167, 224),
        (168, 225), (103, 116), (163, 89), (179, 60), (303, 264), (304, 265), (300, 262),
        // Clocks: settimeofday, clock_settime, clock_adjtime, adjtimex.
        (164, 170), (227, 112), (305, 266), (159, 171),
    ]

    #if arch(x86_64)
        private static let architecture: UInt32 = 0xC000_003E
        private static let (clone, clone3, socket, ioctl): (UInt32, UInt32, UInt32, UInt32) = (56, 435, 41, 16)
        private static func number(_ call: (x86: UInt32, arm: UInt32)) -> UInt32 { call.x86 }
    #else
        private static let architecture: UInt32 = 0xC000_00B7
        private static let (clone, clone3, socket, ioctl): (UInt32, UInt32, UInt32, UInt32) = (220, 435, 198, 29)
        private static func number(_ call: (x86: UInt32, arm: UInt32)) -> UInt32 { call.arm }
    #endif

    /// The filter as `bwrap --seccomp` reads it: instructions of 8 bytes.
    static var program: Data {
        var data = Data()
        func add(_ code: UInt16, _ value: UInt32, _ ifTrue: UInt8 = 0, _ ifFalse: UInt8 = 0) {
            withUnsafeBytes(of: code.littleEndian) { data.append(contentsOf: $0) }
            data.append(ifTrue)
            data.append(ifFalse)
            withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
        }
        let (load, equal, atLeast, anyBit, end): (UInt16, UInt16, UInt16, UInt16, UInt16) = (0x20, 0x15, 0x35, 0x45, 0x06)
        let (allow, kill, notPermitted, notImplemented): (UInt32, UInt32, UInt32, UInt32) = (0x7FFF_0000, 0x8000_0000, 0x0005_0001, 0x0005_0026)
        // Offsets into the kernel's seccomp_data: number 0, architecture 4, arguments from 16.
        add(load, 4)
        add(equal, architecture, 1, 0)
        add(end, kill)
        add(load, 0)
        add(atLeast, 0x4000_0000, 0, 1)  // x32 calls, which have other numbers
        add(end, notPermitted)
        for call in refused {
            add(equal, number(call), 0, 1)
            add(end, notPermitted)
        }
        add(equal, clone3, 0, 1)  // its flags lie in memory; the C library falls back to clone
        add(end, notImplemented)
        add(equal, clone, 0, 4)
        add(load, 16)
        add(anyBit, 0x7E02_0080, 0, 1)  // any new namespace
        add(end, notPermitted)
        add(end, allow)
        add(equal, socket, 0, 4)
        add(load, 16)
        add(equal, UInt32(AF_UNIX), 0, 1)
        add(end, allow)
        add(end, notPermitted)
        add(equal, ioctl, 0, 5)
        add(load, 24)
        add(equal, 0x5412, 1, 0)  // TIOCSTI
        add(equal, 0x541C, 0, 1)  // TIOCLINUX
        add(end, notPermitted)
        add(end, allow)
        add(end, allow)
        return data
    }
}
