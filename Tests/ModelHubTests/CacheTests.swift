import Foundation
import ModelFiles
import ModelHub
import Testing

@Suite("The cache is the one of huggingface_hub")
struct CacheTests {
    private let files = [
        FakeHub.File(name: "config.json", content: Array("hello\n".utf8)),
        FakeHub.File(name: "model.safetensors", content: content(1000), isLarge: true),
        FakeHub.File(name: "1_Pooling/config.json", content: []),
    ]

    @Test("blobs, a ref, and relative links with as many ../ as the name has folders")
    func layout() async throws {
        try await withWorkplace { place in
            let path = try await pull(place.options(FakeHub(files)))
            #expect(path == place.snapshot)
            // Golden: git hash-object of the same bytes.
            let links = [
                "config.json": "../../blobs/ce013625030ba8dba906f756967f9e9ca394464a",
                "1_Pooling/config.json": "../../../blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
                "model.safetensors": "../../blobs/\(sha256(files[1].content))",
            ]
            for (name, target) in links { #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(path)/\(name)") == target) }
            for file in files { #expect(place.bytes("\(path)/\(file.name)") == file.content) }
            #expect(place.bytes(place.folder + "/refs/main").map { String(decoding: $0, as: UTF8.self) } == FakeHub.commit)
            #expect(place.blobs == files.map(\.hash).sorted())
            let locks = try FileManager.default.contentsOfDirectory(atPath: place.cache + "/.locks/models--some-org--tiny-model")
            #expect(locks.contains("\(files[1].hash).lock"))
        }
    }

    @Test("what is in the cache is not fetched again, a blob of the wrong size and a link to another one are replaced")
    func reuse() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files)
            try await pull(place.options(hub))
            try await pull(place.options(hub))
            #expect(hub.gets("model.safetensors").count == 1)
            try Data([1]).write(to: URL(fileURLWithPath: "\(place.folder)/blobs/\(files[1].hash)"))
            try FileManager.default.removeItem(atPath: place.snapshot + "/config.json")
            try FileManager.default.createSymbolicLink(atPath: place.snapshot + "/config.json", withDestinationPath: "../../blobs/gone")
            try await pull(place.options(hub))
            #expect(hub.gets("model.safetensors").count == 2)
            #expect(hub.gets("config.json").count == 1)
            for file in files { #expect(place.bytes("\(place.snapshot)/\(file.name)") == file.content) }
        }
    }

    @Test("a tag with a slash is remembered like a branch; a commit needs no ref")
    func revisions() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files)
            var options = place.options(hub)
            options.revision = "refs/pr/3"
            try await pull(options)
            #expect(hub.server.requests[0].path == FakeHub.listingPath("refs%2Fpr%2F3"))
            #expect(place.bytes(place.folder + "/refs/refs/pr/3") != nil)
            #expect(try HubClient(options).cached(ModelReference(FakeHub.repository)) == place.snapshot)
            options.revision = FakeHub.commit
            let before = hub.server.requests.count
            #expect(try await pull(options, "config.json") == place.snapshot + "/config.json")
            #expect(hub.server.requests.count == before)
            #expect(try FileManager.default.contentsOfDirectory(atPath: place.folder + "/refs") == ["refs"])
        }
    }

    @Test("offline, the cache answers and nobody is asked")
    func offline() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files)
            var options = place.options(hub)
            options.isOffline = true
            let before = await hubError { try await pull(options) }
            #expect(before == .notCached(FakeHub.repository, revision: "main", cache: place.cache, isOffline: true))
            #expect(before?.description.contains("HF_HUB_OFFLINE") == true)
            #expect(hub.server.requests.isEmpty)
            try await pull(place.options(hub), "config.json")
            let asked = hub.server.requests.count
            #expect(try await pull(options, "config.json") == place.snapshot + "/config.json")
            #expect(try await pull(options) == place.snapshot)
            let missing = await hubError { try await pull(options, "model.safetensors") }
            #expect(missing == .notCached("\(FakeHub.repository):model.safetensors", revision: "main", cache: place.cache, isOffline: true))
            #expect(hub.server.requests.count == asked)
        }
    }

    @Test("a snapshot that lacks a shard of its index is incomplete")
    func incomplete() async throws {
        try await withWorkplace { place in
            let index = #"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#
            let sharded = [
                FakeHub.File(name: "model.safetensors.index.json", content: Array(index.utf8)),
                FakeHub.File(name: "model-00001-of-00002.safetensors", content: content(10)), FakeHub.File(name: "model-00002-of-00002.safetensors", content: content(20)),
            ]
            let hub = try FakeHub(sharded)
            try await pull(place.options(hub), nil, FileSelection(exclude: ["*-00002-*"]))
            let client = try HubClient(place.options(hub))
            let error = await hubError { _ = try client.cached(ModelReference(FakeHub.repository)) }
            #expect(error == .incomplete(folder: place.snapshot, missing: "model-00002-of-00002.safetensors"))
            try await pull(place.options(hub))
            #expect(try client.cached(ModelReference(FakeHub.repository)) == place.snapshot)
        }
    }

    @Test("a folder that may not be written to is an error that names it")
    func unwritable() async throws {
        try await withWorkplace { place in
            // A file in the way stops every user, root too, who may write to any folder.
            try Data().write(to: URL(fileURLWithPath: place.cache))
            let hub = try FakeHub(files)
            await #expect {
                try await pull(place.options(hub))
            } throws: {
                ($0 as? FileError)?.file.hasPrefix(place.cache) == true
            }
            try FileManager.default.removeItem(atPath: place.cache)
            try FileManager.default.createDirectory(atPath: place.partial(files[0]), withIntermediateDirectories: true)
            await #expect {
                try await pull(place.options(hub), "config.json")
            } throws: {
                ($0 as? FileError)?.file == place.partial(files[0])
            }
        }
    }

    @Test("a file that the disk has no room for is not begun")
    func noRoom() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([]) { request, _, _ in
                let sibling = #"{"rfilename": "model.safetensors", "size": 4611686018427387904, "blobId": "\#(gitHash([]))"}"#
                return request.path.hasPrefix("/api") ? .init(body: Array(#"{"sha": "\#(FakeHub.commit)", "siblings": [\#(sibling)]}"#.utf8)) : nil
            }
            guard case .notEnoughRoom(place.cache, 4_611_686_018_427_387_904, _) = await hubError({ try await pull(place.options(hub)) }) else { return #expect(Bool(false)) }
            #expect(hub.server.requests.count == 1)
        }
    }
}
