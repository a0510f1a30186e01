import Foundation
import ModelFiles
import ModelHub
import Testing

@Suite("What a hub answers is checked, and what it refuses is explained")
struct HubAnswerTests {
    private func files(_ names: [String]) -> [FakeHub.File] { names.map { FakeHub.File(name: $0, content: Array($0.utf8)) } }

    /// The files of the snapshot after a pull.
    private func pulled(_ names: [String], _ selection: FileSelection = FileSelection()) async throws -> [String] {
        var result: [String] = []
        try await withWorkplace { place in
            let path = try await pull(place.options(FakeHub(files(names))), nil, selection)
            result = (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).filter { place.bytes("\(path)/\($0)") != nil }.sorted()
        }
        return result
    }

    @Test(
        "a name that would lead out of the folder is refused before anything is written",
        arguments: [
            "../escape", "a/../../escape", "/etc/passwd", "a//b", "a/./b", "..", "a\\..\\b", "nul\u{0}byte", "bell\u{7}", "", "a/", String(repeating: "x", count: 256),
        ])
    func hostileNames(name: String) async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files(["config.json", name]))
            let error = await hubError { try await pull(place.options(hub)) }
            #expect(error == .unsafeName(name, repository: FakeHub.repository))
            #expect(error?.description.utf8.contains { $0 < 32 } == false)
            #expect(!FileManager.default.fileExists(atPath: place.cache))
            #expect(hub.server.requests.count == 1)
        }
    }

    @Test("a file that is a folder for another one cannot be used to write elsewhere")
    func nameInsideFile() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files(["config.json", "config.json/tokenizer.json"]))
            await #expect(throws: FileError.self) { try await pull(place.options(hub), nil, FileSelection(include: ["*"])) }
            #expect(Set(place.blobs) == Set([hub.files[0].hash, hub.files[1].hash]))
        }
    }

    @Test("names with spaces and other letters arrive as they are")
    func unusualNames() async throws {
        let names = ["größe 100%?.json", "a b/c#d.json"]
        #expect(try await pulled(names, FileSelection(include: ["*"])) == names.sorted())
    }

    @Test(
        "a commit, list or file name that is missing or no such thing is refused",
        arguments: [
            "", "[]", "{}", #"{"sha": "main", "siblings": []}"#, #"{"sha": "../../../../../../../../../../../../../etc", "siblings": []}"#,
            #"{"sha": "0123456789abcdef0123456789abcdef01234567"}"#, #"{"sha": "0123456789abcdef0123456789abcdef01234567", "siblings": [{}]}"#, "<html>",
        ])
    func badListing(text: String) async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([]) { _, _, _ in .init(body: Array(text.utf8)) }
            guard case .badAnswer(let url, _) = await hubError({ try await pull(place.options(hub)) }) else { return #expect(Bool(false)) }
            #expect(url == hub.server.address + FakeHub.listingPath())
        }
    }

    @Test("without patterns comes what a model needs, and never a pickle")
    func selection() async throws {
        let needed = [
            "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "added_tokens.json", "chat_template.jinja",
            "config.json", "config_sentence_transformers.json", "generation_config.json", "merges.txt", "model.safetensors",
            "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer.model",
            "tokenizer_config.json", "vocab.json",
        ]
        let other = [
            ".gitattributes", "README.md", "consolidated.safetensors", "model.fp16.safetensors", "model-q4.gguf", "onnx/model.onnx",
            "openvino/config.json", "original/model.safetensors", "pytorch_model.bin", "tokenizer.pkl", "training_args.bin", "rust_model.ot",
        ]
        #expect(try await pulled(needed + other) == needed)
        #expect(try await pulled(needed + other, FileSelection(exclude: ["*_Dense/*", "vocab.json"])) == needed.filter { !$0.contains("Dense") && $0 != "vocab.json" })
    }

    @Test("shards come with their index, adapters with their configuration")
    func shards() async throws {
        let sharded = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
        #expect(try await pulled(sharded + ["consolidated.safetensors"]) == sharded)
        let adapter = ["adapter_config.json", "adapter_model.safetensors"]
        #expect(try await pulled(adapter + ["README.md"]) == adapter)
        let odd = ["config.json", "weights.safetensors"]
        #expect(try await pulled(odd) == odd)
    }

    @Test("patterns choose instead; pickles only by their ending")
    func patterns() async throws {
        let names = ["a/b.json", "config.json", "model.safetensors", "pytorch_model.bin"]
        #expect(try await pulled(names, FileSelection(include: ["*"])) == names.dropLast())
        #expect(try await pulled(names, FileSelection(include: ["*.json"])) == ["a/b.json", "config.json"])
        #expect(try await pulled(names, FileSelection(include: ["*.bin", "conf*"])) == ["config.json", "pytorch_model.bin"])
        #expect(try await pulled(names, FileSelection(include: ["*.json"], exclude: ["a/*"])) == ["config.json"])
    }

    @Test("GGUF files must be named, and are listed; a misspelt one is put right")
    func gguf() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files(["config.json", "tiny.Q4_K_M.gguf", "tiny.Q8_0.gguf"]))
            let which = await hubError { try await pull(place.options(hub)) }
            #expect(which == .nameOneGGUF(repository: FakeHub.repository, files: ["tiny.Q4_K_M.gguf  16 bytes", "tiny.Q8_0.gguf  14 bytes"]))
            #expect(which?.description.contains("some-org/tiny-model:tiny.Q4_K_M.gguf.") == true)
            let path = try await pull(place.options(hub), "tiny.Q8_0.gguf")
            #expect(path == place.snapshot + "/tiny.Q8_0.gguf")
            for (name, meant) in [("q8_0", ["tiny.Q8_0.gguf"]), ("tinny.Q8_0.gguf", ["tiny.Q8_0.gguf"]), ("other-model-of-mine.gguf", ["tiny.Q4_K_M.gguf", "tiny.Q8_0.gguf"])] {
                let error = await hubError { try await pull(place.options(hub), name) }
                #expect(error == .noSuchFile(name, repository: FakeHub.repository, candidates: meant))
            }
        }
    }

    @Test("a repository with nothing but pickles, or nothing that fits, says so")
    func nothing() async throws {
        try await withWorkplace { place in
            let pickled = try FakeHub(files(["config.json", "pytorch_model.bin"]))
            #expect(await hubError { try await pull(place.options(pickled)) } == .onlyPickles(repository: FakeHub.repository, files: ["pytorch_model.bin"]))
            #expect(
                await hubError { try await pull(place.options(pickled), nil, FileSelection(include: ["*.gguf"])) }
                    == .nothingSelected(repository: FakeHub.repository, files: ["config.json", "pytorch_model.bin"]))
        }
    }

    @Test(
        "401, 403 and 404 are not tried again, and say what to do",
        arguments: [
            (401, "", false, "HF_TOKEN"), (401, "", true, "The token is not valid"), (403, "GatedRepo", false, "licence"), (403, "GatedRepo", true, "account that your token"),
            (404, "RepoNotFound", false, "spelling"), (404, "RevisionNotFound", false, "--revision"), (410, "", false, "status 410"),
        ])
    func refusals(status: Int, code: String, withToken: Bool, advice: String) async throws {
        try await withWorkplace { place in
            let hub = try FakeHub([]) { _, _, _ in .init(status: status, headers: ["X-Error-Code": code, "X-Error-Message": "no, \u{1B}[31mnever"], body: Array("{}".utf8)) }
            var options = place.options(hub)
            if withToken { options.token = "hf_secret" }
            let text = await hubError { try await pull(options) }?.description ?? ""
            #expect(text.contains(advice))
            #expect(text.contains(FakeHub.repository))
            #expect(!text.contains("hf_secret") && !text.contains("\u{1B}"))
            #expect(hub.server.requests.count == 1)
            #expect(place.slept.durations.isEmpty)
        }
    }

    @Test("404 for a name like one in the cache suggests that one")
    func suggestion() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files(["config.json"]))
            try await pull(place.options(hub))
            let error = await hubError { _ = try await HubClient(place.options(hub)).pull(ModelReference("some-org/tiny-modle")) }
            #expect(error == .noSuchRepository("some-org/tiny-modle", endpoint: hub.server.address, nearest: FakeHub.repository))
        }
    }

    @Test("a hub that knows another commit for the file than it listed is not believed")
    func otherCommit() async throws {
        try await withWorkplace { place in
            let hub = try FakeHub(files(["config.json"]), listsHashes: false) { request, _, right in
                guard request.method == "HEAD" else { return nil }
                var answer = right
                answer.headers["X-Repo-Commit"] = String(repeating: "f", count: 40)
                return answer
            }
            guard case .badAnswer = await hubError({ try await pull(place.options(hub)) }) else { return #expect(Bool(false)) }
        }
    }
}
