import Foundation
import ModelHub
import Testing

@Suite("Single files of known addresses")
struct FileFetcherTests {
    private let content = [UInt8]("one line\n".utf8)

    private func fetch(_ server: MisbehavingServer, limit: Int = 1000) async throws -> [UInt8] {
        var fetcher = FileFetcher()
        fetcher.retries.sleep = { _ in }
        return Array(try await fetcher.fetch(try #require(URL(string: "\(server.address)/file")), limit: limit))
    }

    @Test("a file comes whole after redirects, busy answers and dropped connections")
    func patience() async throws {
        let hub = try FakeHub([]) { [content] request, earlier, _ in
            if request.path == "/file" { return FakeHub.Answer(status: 302, headers: ["Location": "/elsewhere"]) }
            if earlier == 0 { return FakeHub.Answer(status: 503) }
            var answer = FakeHub.Answer(body: content)
            if earlier == 1 { answer.ending = .dropped(after: 3) }
            return answer
        }
        #expect(try await fetch(hub.server) == content)
        #expect(hub.server.requests.map(\.path) == ["/file", "/elsewhere", "/file", "/elsewhere", "/file", "/elsewhere"])
    }

    @Test("what is not there, never comes or is too long is an error that names the address")
    func refused() async throws {
        let missing = try FakeHub([]) { _, _, _ in FakeHub.Answer(status: 404) }
        #expect(await hubError { _ = try await fetch(missing.server) } == .refused(url: "\(missing.server.address)/file", status: 404, message: nil))
        let broken = try FakeHub([]) { _, _, _ in FakeHub.Answer(status: 500) }
        #expect(await hubError { _ = try await fetch(broken.server) } == .unreachable(url: "\(broken.server.address)/file", problem: "the server answers with status 500", attempts: 6))
        let long = try FakeHub([]) { [content] _, _, _ in FakeHub.Answer(body: content) }
        #expect(await hubError { _ = try await fetch(long.server, limit: 8) } == .badAnswer(url: "\(long.server.address)/file", problem: "the answer is longer than 8 bytes"))
    }
}
