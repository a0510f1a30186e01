/// Why a completion ended.
public enum FinishReason: String, Codable, Sendable {
    /// A stop token or stop string.
    case stop
    /// The token budget or the context ran out: the completion is cut off.
    case length
    /// A constraint left no token.
    case constraint
}
