import Foundation
import Synchronization

/// Ctrl-C and SIGTERM: the first asks the run to save and stop, a second one ends the process.
final class StopSignal: Sendable {
    private let requested = Atomic<Bool>(false)
    nonisolated(unsafe) private var sources: [any DispatchSourceSignal] = []  // written once, before anyone else sees it

    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                if requested.exchange(true, ordering: .sequentiallyConsistent) { exit(130) }
                printError("\nstopping after the current step; once more to stop at once")
            }
            source.resume()
            sources.append(source)
        }
    }

    var isRequested: Bool { requested.load(ordering: .relaxed) }
}
