import Foundation
import Synchronization

/// Judges with another verifier, and fails the judgement of every completion that takes it too long: a verifier that hangs must not hang a run.
///
/// The other verifier is asked for one completion at a time, for several at once. What exceeds its limit is cancelled and no longer waited for; whether it
/// ends is its own affair. One that blocks its thread, instead of awaiting, takes that thread from the process for as long.
public struct TimedVerifier: Verifier {
    public var name: String { base.name }
    public let base: any Verifier
    public let timeLimit: Duration
    public let concurrency: Int

    /// - Parameters:
    ///   - base: what judges.
    ///   - timeLimit: for one completion, from when `base` is asked for it.
    ///   - concurrency: how many completions are judged at a time.
    public init(_ base: any Verifier, timeLimit: Duration, concurrency: Int = ProcessInfo.processInfo.activeProcessorCount) {
        precondition(timeLimit > .zero && concurrency > 0, "\(concurrency) completions at a time within \(timeLimit)")
        self.base = base
        self.timeLimit = timeLimit
        self.concurrency = concurrency
    }

    public var settings: [String: String] { base.settings.merging(["time limit for one": "\(timeLimit)"]) { $1 } }

    /// - Throws: what `base` throws.
    public func checkReady() async throws { try await base.checkReady() }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        await withTaskGroup(of: (Int, Judgement).self) { group in
            var judgements = [Judgement](repeating: .failed(reason: "not judged"), count: rollouts.count)
            for (index, rollout) in rollouts.enumerated() {
                if index >= concurrency, let (place, judgement) = await group.next() { judgements[place] = judgement }
                group.addTask { (index, await judge(rollout)) }
            }
            for await (place, judgement) in group { judgements[place] = judgement }
            return judgements
        }
    }

    private func judge(_ rollout: Rollout) async -> Judgement {
        let race = Race()
        let work = Task { [base] in
            let found = await base.judge([rollout])
            race.finish(found.count == 1 ? found[0] : .failed(reason: "'\(base.name)' gave \(found.count) judgements for one completion"))
        }
        let clock = Task { [timeLimit] in
            try? await Task.sleep(for: timeLimit)
            race.finish(.failed(reason: "no judgement within \(timeLimit)"))
        }
        defer {
            work.cancel()
            clock.cancel()
        }
        return await withTaskCancellationHandler {
            await race.winner()
        } onCancel: {
            race.finish(.failed(reason: "cancelled"))
        }
    }
}

/// The first of several judgements; later ones are dropped.
private final class Race: Sendable {
    private let state = Mutex<(first: Judgement?, waiting: CheckedContinuation<Judgement, Never>?)>((nil, nil))

    func finish(_ judgement: Judgement) {
        let waiting = state.withLock { state -> CheckedContinuation<Judgement, Never>? in
            guard state.first == nil else { return nil }
            state.first = judgement
            return state.waiting
        }
        waiting?.resume(returning: judgement)
    }

    /// To be asked once.
    func winner() async -> Judgement {
        await withCheckedContinuation { continuation in
            let first = state.withLock { state in
                state.waiting = continuation
                return state.first
            }
            if let first { continuation.resume(returning: first) }
        }
    }
}
