import Foundation
import ModelFiles
import ModelHub
import Synchronization
import Testing

@Suite("A download survives the network, and nothing wrong gets into the cache")
struct DownloadTests {
    private let file = FakeHub.File(name: "model.safetensors", content: content(300_000), isLarge: true)

    @Test("a connection dropped in the middle is resumed: only the missing bytes are asked for")
    func drop() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, earlier, right in
                guard request.method == "GET", request.path == FakeHub.path("model.safetensors"), earlier < 2 else { return nil }
                var answer = right
                answer.ending = .dropped(after: 100_000)
                return answer
            }
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            let ranges = hub.gets(file.name).map { $0.headers["range"] }
            #expect(ranges.count == 3 && ranges[0] == nil)
            // A dropped connection may take the bytes that were on their way with it.
            let starts = ranges.compactMap { $0 }.map { Int($0.dropFirst("bytes=".count).dropLast()) ?? -1 }
            #expect(starts.count == 2 && (1...100_000).contains(starts[0]) && (starts[0]...200_000).contains(starts[1]))
            #expect(place.blobs == [file.hash])
            #expect(place.slept.durations.count == 2)
        }
    }

    @Test("an earlier pull's part is used")
    func resume() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file])
            try place.leavePartial(Array(file.content[..<123_456]), of: file)
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).map { $0.headers["range"] } == ["bytes=123456-"])
        }
    }

    @Test("a part that is already whole is checked and not fetched")
    func wholePartial() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file])
            try place.leavePartial(file.content, of: file)
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).isEmpty)
        }
    }

    @Test("a part with other bytes, or too many, is thrown away and the whole is fetched")
    func wrongPartial() async throws {
        for partial in [content(1000, seed: 1), content(400_000, seed: 2)] {
            try await withWorkplace { place in
                let hub = try FakeHub([file])
                try place.leavePartial(partial, of: file)
                let path = try await pull(place.options(hub), file.name)
                #expect(place.bytes(path) == file.content)
                #expect(hub.gets(file.name).last?.headers["range"] == nil)
            }
        }
    }

    @Test("a server that ignores ranges sends everything, and the file starts anew")
    func ignoredRange() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { [file] request, _, _ in request.headers["range"] == nil ? nil : .init(body: file.content) }
            try place.leavePartial(Array(file.content[..<1000]), of: file)
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).count == 1)
        }
    }

    @Test("another range than the one asked for, and status 416, start the file anew", arguments: [0, 1, 2, 3])
    func wrongRange(how: Int) async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { [file] request, _, right in
                guard request.headers["range"] != nil else { return nil }
                var answer = right
                switch how {
                case 0: answer.headers["Content-Range"] = "bytes 0-299999/300000"
                case 1: answer.headers["Content-Range"] = "bytes 1000-299999/999999"
                case 2: answer.headers["Content-Range"] = nil
                default: answer = .init(status: 416, headers: ["Content-Range": "bytes */\(file.content.count)"])
                }
                return answer
            }
            try place.leavePartial(Array(file.content[..<1000]), of: file)
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).map { $0.headers["range"] } == ["bytes=1000-", nil])
        }
    }

    @Test("wrong content is reported and deleted, for both kinds of hash", arguments: [true, false])
    func wrongChecksum(isLarge: Bool) async throws {
        try await withWorkplace { place in
            let file = FakeHub.File(name: "tokenizer.json", content: content(5000), isLarge: isLarge)
            let hub = try FakeHub([file]) { request, _, right in
                guard request.path == FakeHub.path("tokenizer.json") else { return nil }
                var answer = right
                answer.body[4321] ^= 1
                return answer
            }
            let error = await hubError { try await pull(place.options(hub), file.name) }
            guard case .wrongChecksum(file.name, FakeHub.repository, file.hash, let found) = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(found != file.hash && found.count == file.hash.count)
            #expect(place.blobs.isEmpty)
            #expect(hub.gets(file.name).count == 1)
            #expect(!FileManager.default.fileExists(atPath: place.snapshot))
        }
    }

    @Test("a length other than the listed one is reported and deleted", arguments: [250_000, 350_000])
    func wrongLength(length: Int) async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, _, _ in request.path == FakeHub.path("model.safetensors") ? .init(body: content(length)) : nil }
            let error = await hubError { try await pull(place.options(hub), file.name) }
            #expect(error == .wrongLength(file: file.name, repository: FakeHub.repository, expected: 300_000, found: Int64(length)))
            #expect(place.blobs.isEmpty)
        }
    }

    @Test("more bytes than listed are not written, although no length was announced")
    func tooManyChunks() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, _, _ in request.path == FakeHub.path("model.safetensors") ? .init(body: content(350_000), isChunked: true, pieces: 7) : nil }
            let error = await hubError { try await pull(place.options(hub), file.name) }
            guard case .wrongLength(_, _, 300_000, let found) = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(found > 300_000)
            #expect(place.blobs.isEmpty)
        }
    }

    @Test("fewer bytes than listed, although the answer ends properly, are a drop: the rest is asked for")
    func tooFewChunks() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { [file] request, earlier, _ in
                request.path == FakeHub.path("model.safetensors") && earlier == 0 ? .init(body: Array(file.content[..<200_000]), isChunked: true) : nil
            }
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).map { $0.headers["range"] } == [nil, "bytes=200000-"])
        }
    }

    @Test("chunked and very slow answers are fine, also where the hub tells neither size nor hash beforehand", arguments: [true, false])
    func chunked(listsHashes: Bool) async throws {
        try await withWorkplace { place in
            let small = FakeHub.File(name: "config.json", content: Array("{}".utf8))
            let hub = try FakeHub([file, small], listsHashes: listsHashes) { request, _, right in
                guard request.path.hasPrefix("/some-org"), request.method == "GET" else { return nil }
                var answer = right
                (answer.isChunked, answer.pieces) = (true, 40)
                return answer
            }
            let folder = try await pull(place.options(hub))
            #expect(place.bytes(folder + "/model.safetensors") == file.content)
            #expect(place.bytes(folder + "/config.json") == small.content)
            #expect(hub.server.requests.contains { $0.method == "HEAD" } == !listsHashes)
        }
    }

    @Test("a server that falls silent is given up on, and asked again")
    func silence() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, earlier, right in
                guard request.path == FakeHub.path("model.safetensors"), earlier == 0 else { return nil }
                var answer = right
                answer.ending = .silent(after: 1000)
                return answer
            }
            var options = place.options(hub)
            options.idleTimeout = .seconds(1)
            options.retries.attempts = 1000  // a busy machine may be as slow as a silent server
            let path = try await pull(options, file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).count >= 2)
        }
    }

    @Test("429 is waited for as long as the server asks, 408 and 500 with growing delays")
    func busy() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, earlier, _ in
                switch (request.path, earlier) {
                case (FakeHub.listingPath(), 0): .init(status: 429, headers: ["Retry-After": "0"])
                case (FakeHub.listingPath(), 1): .init(status: 429, headers: ["Retry-After": "17"])
                case (FakeHub.path("model.safetensors"), 0), (FakeHub.path("model.safetensors"), 2): .init(status: 500, body: [1, 2, 3])
                case (FakeHub.path("model.safetensors"), 1): .init(status: 408)
                case (FakeHub.path("model.safetensors"), 3): .init(status: 503, headers: ["Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"])
                default: nil
                }
            }
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            let slept = place.slept.durations
            guard slept.count == 6 else { return #expect(Bool(false), "\(slept)") }
            #expect(slept[..<2] == [.zero, .seconds(17)])
            for (delay, longest) in zip(slept[2..<5], [1, 2, 4]) { #expect(delay >= .seconds(longest) / 2 && delay <= .seconds(longest)) }
            #expect(slept[5] == .zero)
        }
    }

    @Test("after enough failures, or when asked for too much patience, it ends with the last reason, and the part stays")
    func giveUp() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, _, right in
                guard request.path == FakeHub.path("model.safetensors") else { return nil }
                return request.headers["range"] == nil ? .init(headers: right.headers, body: right.body, ending: .dropped(after: 5000)) : .init(status: 502)
            }
            var options = place.options(hub)
            options.retries.attempts = 3
            try place.leavePartial(Array(file.content[..<5000]), of: file)
            let error = await hubError { try await pull(options, file.name) }
            #expect(error == .unreachable(url: hub.server.address + FakeHub.path(file.name), problem: "the server answers with status 502", attempts: 3))
            #expect(hub.gets(file.name).count == 3)
            #expect(place.bytes(place.partial(file))?.count == 5000)

            let busy = try FakeHub([file]) { _, _, _ in .init(status: 429, headers: ["Retry-After": "86400"]) }
            let refusal = await hubError { try await pull(place.options(busy), file.name) }
            #expect(refusal?.description.contains("86400 s") == true)
            #expect(busy.server.requests.count == 1)
        }
    }

    @Test("nobody at the address is an error that names it")
    func nobody() async throws {
        try await withWorkplace { place in
            let nobody = try NobodysAddress()
            var options = HubOptions(cache: place.cache)
            options.endpoint = nobody.address
            options.retries.sleep = { _ in withExtendedLifetime(nobody) {} }
            options.retries.attempts = 2
            let error = await hubError { try await pull(options) }
            guard case .unreachable(let url, _, 2) = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(url.hasPrefix(options.endpoint))
        }
    }

    @Test("a redirect is followed, and the token stays with the hub")
    func redirect() async throws {
        try await withWorkplace { place in
            let storage = try FakeHub([file])
            let elsewhere = storage.server.address + FakeHub.path(file.name)
            let hub = try FakeHub([file]) { [file] request, _, _ in
                switch request.path {
                case FakeHub.path("model.safetensors"): .init(status: 307, headers: ["Location": "/moved/model.safetensors"])
                case "/moved/model.safetensors":
                    .init(
                        status: 302, headers: ["Location": elsewhere, "X-Repo-Commit": FakeHub.commit, "X-Linked-Etag": "\"\(file.hash)\"", "X-Linked-Size": "300000"],
                        body: Array("Found".utf8))
                default: nil
                }
            }
            var options = place.options(hub)
            options.token = "hf_secret"
            let path = try await pull(options, file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.server.requests.count == 3)
            #expect(hub.server.requests.allSatisfy { $0.headers["authorization"] == "Bearer hf_secret" })
            #expect(storage.server.requests.count == 1)
            #expect(storage.server.requests.allSatisfy { $0.headers["authorization"] == nil })
        }
    }

    @Test("where the listing has no hashes, those of a redirecting file are in the redirect's headers")
    func linkedHash() async throws {
        try await withWorkplace { place in
            let storage = try FakeHub([file])
            let elsewhere = storage.server.address + FakeHub.path(file.name)
            let hub = try FakeHub([file], listsHashes: false) { [file] request, _, _ in
                request.path == FakeHub.path("model.safetensors")
                    ? .init(status: 302, headers: ["Location": elsewhere, "X-Linked-Etag": "\"\(file.hash)\"", "X-Linked-Size": "300000", "ETag": "W/\"something-else\""]) : nil
            }
            let path = try await pull(place.options(hub), file.name)
            #expect(place.bytes(path) == file.content)
            #expect(storage.server.requests.map(\.method) == ["GET"])
        }
    }

    @Test("a redirect that leads nowhere, or in circles, is refused", arguments: ["/some-org/tiny-model/resolve/\(FakeHub.commit)/model.safetensors", "file:///etc/passwd", ""])
    func badRedirect(location: String) async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, _, _ in request.path == FakeHub.path("model.safetensors") ? .init(status: 302, headers: ["Location": location]) : nil }
            let error = await hubError { try await pull(place.options(hub), file.name) }
            guard case .badAnswer(_, let problem) = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(problem.contains("redirects"))
        }
    }

    @Test("a hash that is none is refused: the content could not be checked")
    func noHash() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file], listsHashes: false) { request, _, right in
                guard request.method == "HEAD" else { return nil }
                var answer = right
                answer.headers["ETag"] = "\"../../escape\""
                return answer
            }
            let error = await hubError { try await pull(place.options(hub), file.name) }
            #expect(error == .noChecksum(file: file.name, repository: FakeHub.repository, etag: "\"../../escape\""))
        }
    }

    @Test("two pulls at once fetch once, and both succeed")
    func concurrent() async throws {
        try await withWorkplace { place in
            let files = [file, FakeHub.File(name: "config.json", content: Array("{}".utf8))]
            let hub = try FakeHub(files) { request, _, right in
                var answer = right
                answer.pieces = 20
                return answer
            }
            let options = place.options(hub)
            let paths = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<4 { group.addTask { try await pull(options) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(paths == Array(repeating: place.snapshot, count: 4))
            #expect(place.bytes(place.snapshot + "/model.safetensors") == file.content)
            #expect(hub.gets("model.safetensors").count == 1)
            #expect(hub.gets("config.json").count == 1)
            #expect(place.blobs == files.map(\.hash).sorted())
        }
    }

    @Test("a cancelled pull leaves its part, and the next one goes on there")
    func cancellation() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file]) { request, earlier, right in
                guard request.path == FakeHub.path("model.safetensors"), earlier == 0 else { return nil }
                var answer = right
                answer.ending = .silent(after: 150_000)
                return answer
            }
            let options = place.options(hub)
            let (arrived, continuation) = AsyncStream<Int64>.makeStream()
            let task = Task {
                try await HubClient(options).pull(ModelReference("\(FakeHub.repository):model.safetensors")) { continuation.yield($0.bytes) }
            }
            for await bytes in arrived where bytes == 150_000 { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(place.bytes(place.partial(file)) == Array(file.content[..<150_000]))
            let path = try await pull(options, file.name)
            #expect(place.bytes(path) == file.content)
            #expect(hub.gets(file.name).map { $0.headers["range"] } == [nil, "bytes=150000-"])
        }
    }

    @Test("readers slower than the network get everything, several at once, and can be cancelled")
    func slowReaders() async throws {
        // Far more than is kept between network and reader.
        let large = FakeHub.File(name: "model.safetensors", content: [UInt8](repeating: 7, count: 6 << 20), isLarge: true)
        let hub = try FakeHub([large])
        let endless = try FakeHub([large]) { request, _, right in
            var answer = right
            if request.path == FakeHub.path("model.safetensors") { answer.ending = .silent(after: 5 << 20) }
            return answer
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for isCancelled in [false, true, false, true] {
                group.addTask {
                    try await withWorkplace { place in
                        let (arrived, continuation) = AsyncStream<Int64>.makeStream()
                        let task = Task {
                            try await HubClient(place.options(isCancelled ? endless : hub)).pull(ModelReference(FakeHub.repository)) {
                                continuation.yield($0.bytes)
                                if $0.state == .downloading { usleep(500) }
                            }
                        }
                        guard isCancelled else {
                            let path = try await task.value
                            return #expect(place.bytes(path + "/model.safetensors") == large.content)
                        }
                        for await bytes in arrived where bytes > 1 << 20 { break }
                        task.cancel()
                        await #expect(throws: CancellationError.self) { try await task.value }
                        #expect((1 << 20...5 << 20).contains(place.bytes(place.partial(large))?.count ?? 0))
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("progress goes up to the total, through checking, to its end")
    func progress() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([file, FakeHub.File(name: "config.json", content: Array("{}".utf8))])
            let seen = Mutex<[PullProgress]>([])
            for end in [PullProgress.State.fetched, .cached] {
                seen.withLock { $0 = [] }
                _ = try await HubClient(place.options(hub)).pull(ModelReference(FakeHub.repository)) { step in seen.withLock { $0.append(step) } }
                let weights = seen.withLock { $0.filter { $0.file == "model.safetensors" } }
                #expect(weights.allSatisfy { $0.number == 2 && $0.count == 2 && $0.total == 300_000 })
                #expect(weights.last?.state == end && weights.last?.bytes == 300_000)
                let downloaded = weights.filter { $0.state == .downloading }.map(\.bytes)
                #expect(downloaded == downloaded.sorted() && downloaded.last == (end == .fetched ? 300_000 : nil))
                #expect(weights.contains { $0.state == .checking } == (end == .fetched))
            }
        }
    }
}
