import Foundation
import ModelHub
import Testing

@Suite("References and settings")
struct ReferenceTests {
    @Test("a repository, with or without organisation, and one file of it")
    func good() throws {
        let file = try ModelReference("Org-1/some.model_v2:sub/dir/a b:c.gguf")
        #expect(file.repository == "Org-1/some.model_v2" && file.file == "sub/dir/a b:c.gguf")
        #expect(file.description == "Org-1/some.model_v2:sub/dir/a b:c.gguf")
        let old = try ModelReference("gpt2")
        #expect(old.repository == "gpt2" && old.file == nil)
    }

    @Test(
        "anything else is refused, with how to write it",
        arguments: [
            "", "/", "a/", "/b", "a/b/c", "../b", "a/..", "a/b..c", "a--b/c", "a/b.git", "-a/b", "a/b-", "a b/c", "ä/b", "https://huggingface.co/a/b", "a/b:", "a/b:../c", "a/b:/c",
            "a/b:c\\d",
            String(repeating: "x", count: 97),
        ])
    func bad(text: String) {
        #expect {
            try ModelReference(text)
        } throws: {
            "\($0)".contains("ORG/NAME")
        }
    }

    @Test("the environment of huggingface_hub is understood")
    func environment() throws {
        #expect(try HubOptions(environment: ["HOME": "/home/me"]).cache == "/home/me/.cache/huggingface/hub")
        #expect(try HubOptions(environment: ["HOME": "/home/me", "XDG_CACHE_HOME": "/x"]).cache == "/x/huggingface/hub")
        #expect(try HubOptions(environment: ["HOME": "/home/me", "HF_HOME": "~/hf"]).cache == "/home/me/hf/hub")
        #expect(try HubOptions(environment: ["HF_HOME": "/hf", "HF_HUB_CACHE": "/models"]).cache == "/models")
        for (value, isOffline) in [("1", true), ("true", true), ("YES", true), ("0", false), ("", false), ("no", false)] {
            #expect(try HubOptions(environment: ["HF_HUB_OFFLINE": value]).isOffline == isOffline)
        }
        #expect(try HubOptions(environment: [:]).endpoint == "https://huggingface.co")
        #expect(try HubClient(HubOptions(environment: ["HF_ENDPOINT": "https://mirror.example/hub/"])).options.endpoint == "https://mirror.example/hub")
        for endpoint in ["mirror.example", "ftp://mirror.example", "https://", "https://a.example/?b"] {
            #expect(throws: HubError.self) { try HubOptions(environment: ["HF_ENDPOINT": endpoint]) }
        }
    }

    @Test("the token is the variable's, else the file's, and one that cannot be is not shown")
    func token() async throws {
        try await withWorkplace { place in
            let home = place.cache + "-home"
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: home) }
            #expect(try HubOptions(environment: ["HF_HOME": home]).token == nil)
            try Data("hf_file\n".utf8).write(to: URL(fileURLWithPath: home + "/token"))
            #expect(try HubOptions(environment: ["HF_HOME": home]).token == "hf_file")
            #expect(try HubOptions(environment: ["HF_HOME": home, "HF_TOKEN": "hf_variable"]).token == "hf_variable")
            #expect(try HubOptions(environment: ["HF_HOME": home, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"]).token == nil)
            let error = await hubError { _ = try HubOptions(environment: ["HF_TOKEN": "hf_line\nInjected: header"]) }
            #expect(error?.description.contains("HF_TOKEN") == true && error?.description.contains("hf_line") == false)
        }
    }

    @Test("a revision that would lead out of the cache is refused", arguments: ["../main", "/main", "", "a\\b"])
    func badRevision(revision: String) async {
        var options = HubOptions(cache: "/nowhere")
        options.revision = revision
        let error = await hubError { _ = try HubClient(options) }
        #expect(error?.description.contains("the revision") == true)
    }

    @Test("sizes are written for people")
    func sizes() {
        #expect(
            [0, 999, 1000, 9949, 12_345, 999_500, 2_147_483_648, .max].map { byteCount($0) } == [
                "0 bytes", "999 bytes", "1.0 kB", "9.9 kB", "12 kB", "1.0 MB", "2.1 GB", "9223372 TB",
            ])
    }
}
