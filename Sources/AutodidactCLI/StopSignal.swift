import Autodidact
import Foundation
import Synchronization

/// Ctrl-C and SIGTERM: the first asks the work to save and stop, a second one ends the process. Work that cannot save a part is ended by the first.
final class StopSignal: Sendable {
    private let requested = Atomic<Bool>(false), finished = Atomic<Bool>(false)
    private let abandon: @Sendable () -> Void
    nonisolated(unsafe) private var sources: [any DispatchSourceSignal] = []  // written once, before anyone else sees it
    private static let all = Mutex<[StopSignal]>([])

    /// - Parameters:
    ///   - unit: of the work, after which it stops.
    ///   - atOnce: whether the first signal ends the process.
    ///   - abandon: what is taken away when the process ends before `finish`.
    init(after unit: String = "step", atOnce: Bool = false, abandon: @escaping @Sendable () -> Void = {}) {
        self.abandon = abandon
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                if requested.exchange(true, ordering: .sequentiallyConsistent) || atOnce { Self.endProcess(130) }
                printError("\nstopping after the current \(unit); once more to stop at once")
            }
            source.resume()
            sources.append(source)
        }
        Self.all.withLock { $0.append(self) }
    }

    /// Ends the process at once. What is half made is taken away.
    static func endProcess(_ code: Int32) -> Never {
        DurableFile.discardUnfinished {
            all.withLock { signals in
                for signal in signals where !signal.finished.load(ordering: .sequentiallyConsistent) { signal.abandon() }
                exit(code)
            }
        }
    }

    var isRequested: Bool { requested.load(ordering: .relaxed) }

    /// What was made is whole, and stays.
    func finish() { finished.store(true, ordering: .sequentiallyConsistent) }
}
