import Foundation

/// How often and when to try again what failed by chance: exponential backoff with jitter, or as long as the server asks for.
public struct RetryPolicy: Sendable {
    /// How many failures in a row end it. A download that got further in between starts counting anew.
    public var attempts = 6
    public var firstDelay: Duration = .seconds(1)
    public var longestDelay: Duration = .seconds(30)
    /// A server that asks for more patience than this is given up on.
    public var longestRetryAfter: Duration = .seconds(300)
    /// How to wait; tests need not.
    public var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }

    public init() {}

    /// Before attempt number `failures` + 1: doubled each time, and shortened by up to a half at random, so that many clients do not come back at once.
    func delay(afterFailures failures: Int, random: Double = .random(in: 0.5...1)) -> Duration {
        let doubled = firstDelay * (1 << min(max(0, failures - 1), 20))
        return min(doubled, longestDelay) * random
    }
}

/// A failure that may not happen again: a dropped connection, a server that is busy or broken for the moment.
struct Interruption: Error {
    var problem: String
    /// What the server asked for.
    var retryAfter: Duration?
}

extension Interruption {
    /// What a status says of a server that is busy or broken for the moment; nil for another status.
    init?(_ head: HTTPHead) {
        guard [408, 429].contains(head.status) || (500...599).contains(head.status) else { return nil }
        let problem = head.status == 429 ? "the server has too many requests (status 429)" : "the server answers with status \(head.status)"
        self.init(problem: problem, retryAfter: ModelHub.retryAfter(head["retry-after"]))
    }
}

extension RetryPolicy {
    /// Repeats `body` while it throws `Interruption`.
    /// - Parameters:
    ///   - url: for the error.
    ///   - progress: how far the work has come; whoever gets further is not counted out.
    ///   - waiting: told before each wait.
    /// - Throws: `HubError.unreachable` when there were too many failures, and whatever else `body` throws.
    func run<Result>(
        url: String, progress: () -> Int64 = { 0 }, waiting: (String, Duration) -> Void = { _, _ in }, _ body: () async throws -> Result
    ) async throws -> Result {
        var (failures, furthest) = (0, progress())
        while true {
            do {
                return try await body()
            } catch let failure as Interruption {
                // Not for every byte: a server that gives one at a time would never be given up on.
                if progress() >= furthest + (1 << 20) { failures = 0 }
                furthest = max(furthest, progress())
                failures += 1
                guard failures < attempts else { throw HubError.unreachable(url: url, problem: failure.problem, attempts: attempts) }
                if let asked = failure.retryAfter, asked > longestRetryAfter {
                    throw HubError.unreachable(url: url, problem: "\(failure.problem), and the server asks to come back in \(asked.components.seconds) s", attempts: failures)
                }
                let delay = failure.retryAfter ?? self.delay(afterFailures: failures)
                waiting(failure.problem, delay)
                try await sleep(delay)
            }
        }
    }
}

/// The value of a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date.
func retryAfter(_ text: String?, now: Date = Date()) -> Duration? {
    guard let text = text?.trimmingCharacters(in: .whitespaces) else { return nil }
    if let seconds = Int64(text) { return .seconds(max(0, min(seconds, 1 << 31))) }
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "GMT")
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return format.date(from: text).map { .seconds(max(0, min($0.timeIntervalSince(now), 1e9))) }
}
