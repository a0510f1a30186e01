import Foundation

/// A named instant at which a test may ask the process to die, as a power cut would.
enum Fault {
    static func point(_ name: String) {
        if ProcessInfo.processInfo.environment["AUTODIDACT_FAULT"] == name { kill(getpid(), SIGKILL) }
    }
}
