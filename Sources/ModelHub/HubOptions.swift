import Foundation

/// Which hub, which cache, whose token: what `HubClient` needs to know, from the environment unless said otherwise.
public struct HubOptions: Sendable {
    /// Where the hub answers, without a slash at the end.
    public var endpoint = "https://huggingface.co"
    /// The folder of `models--ORG--NAME`, shared with every program that keeps to the layout of huggingface_hub.
    public var cache: String
    /// Sent to the endpoint and to nobody else.
    public var token: String?
    /// A branch, a tag, or a commit's full hash.
    public var revision = "main"
    /// Use the cache alone.
    public var isOffline = false
    /// Of each connection: how long nothing at all may arrive before it counts as dropped.
    public var idleTimeout: Duration = .seconds(30)
    public var retries = RetryPolicy()

    public init(cache: String) { self.cache = cache }

    /// The settings of huggingface_hub, by their names: HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH and HF_HUB_OFFLINE.
    /// - Throws: `HubError.badSetting`.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws(HubError) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        func path(_ text: String) -> String {
            guard text == "~" || text.hasPrefix("~/"), let user = value("HOME") else { return text }
            return user + text.dropFirst()
        }
        func isTrue(_ name: String) -> Bool { ["1", "ON", "YES", "TRUE"].contains(value(name)?.uppercased()) }
        let caches = value("XDG_CACHE_HOME") ?? "~/.cache"
        let home = path(value("HF_HOME") ?? caches + "/huggingface")
        cache = path(value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") ?? home + "/hub")
        if let text = value("HF_ENDPOINT") { endpoint = text }
        isOffline = value("HF_HUB_OFFLINE") != nil ? isTrue("HF_HUB_OFFLINE") : isTrue("TRANSFORMERS_OFFLINE")
        // A token never comes with a line's end on purpose.
        let saved =
            isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN")
            ? nil : FileManager.default.contents(atPath: path(value("HF_TOKEN_PATH") ?? home + "/token")).map { String(decoding: $0, as: UTF8.self) }
        token = (value("HF_TOKEN") ?? saved)?.trimmingCharacters(in: .whitespacesAndNewlines)
        if token?.isEmpty == true { token = nil }
        try validate()
    }

    /// - Throws: `HubError.badSetting`.
    func validate() throws(HubError) {
        guard let url = URL(string: endpoint), let scheme = url.scheme?.lowercased(), ["http", "https"].contains(scheme), url.host?.isEmpty == false, url.query == nil,
            url.fragment == nil
        else {
            throw .badSetting("the endpoint", value: endpoint, problem: "is no address such as https://huggingface.co")
        }
        guard isSafePath(revision) else { throw .badSetting("the revision", value: printable(revision), problem: "must be a branch, a tag or a commit's full hash") }
        if let token, !token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            throw .badSetting("HF_TOKEN", value: "…", problem: "holds characters that no token has")  // its value is a secret
        }
    }
}
