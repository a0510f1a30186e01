import Foundation
import ModelFiles
import Testing

import Tokenization

@Suite("Tokenizers against tokenizers, sentencepiece and gguf")
struct TokenizerGoldenTests {
    static let isPresent = Fixtures.has("tokenizers")
    static let absence: Comment = "no folder \(Fixtures.url("tokenizers").path); set AUTODIDACT_FIXTURES"

    @Test("ids and texts equal the reference, or the refusal is documented", .enabled(if: isPresent, absence), arguments: TokenizerGolden.all)
    func matchesReferenceGolden(golden: TokenizerGolden) throws {
        let tokenizer: Tokenizer
        do {
            tokenizer = try golden.load()
        } catch TokenizerError.unsupported(let algorithm, _) {
            let isDocumented = try documented().contains { isSame($0, algorithm) }
            #expect(isDocumented, "\(golden) was refused for '\(algorithm)', which docs/unsupported.json does not list under 'tokenizers'")
            return
        }
        let (found, compared) = try golden.differences(tokenizer)
        #expect(found.isEmpty, "\(found.count) of \(compared) answers differ; first: \(found.prefix(3))")
        print("\(compared - found.count) of \(compared) answers of \(golden)")
        #expect(compared > 0, "only \(compared) answers were compared")
    }

    @Test("the exported tokenizer.json gives the same ids, as far as the format can say it", .enabled(if: isPresent, absence), arguments: TokenizerGolden.all)
    func exportKeepsIdsGolden(golden: TokenizerGolden) throws {
        do {
            let tokenizer = try golden.load()
            let (found, compared) = try golden.exportDifferences(tokenizer)
            #expect(Double(found.count) <= golden.exportAllowance * Double(compared), "\(found.count) of \(compared) answers differ; first: \(found.prefix(3))")
        } catch TokenizerError.unsupported {}  // judged above
    }

    @Test("every documented gap still exists", .enabled(if: isPresent, absence))
    func documentedGapsExistGolden() throws {
        var refused: [String] = []
        if try documented().isEmpty { return }
        for golden in TokenizerGolden.all {
            do { _ = try golden.load() } catch TokenizerError.unsupported(let algorithm, _) { refused.append(algorithm) }
        }
        for entry in try documented() {
            #expect(refused.contains { isSame($0, entry) }, "docs/unsupported.json lists the tokenizer '\(entry)', but nothing is refused for it")
        }
    }

    /// The golden's check itself: a wrong answer must be seen.
    @Test("a tokenizer that is not the reference's is found out", .enabled(if: isPresent, absence))
    func wrongTokenizerIsFoundOutGolden() throws {
        let wrong = try Tokenizer.symbols((32..<127).map { String(Unicode.Scalar($0)) }, special: ["<eos>"])
        for golden in TokenizerGolden.all where Fixtures.has("tokenizers/\(golden)/cases.jsonl") {
            #expect(try !golden.differences(wrong).found.isEmpty)
        }
    }

    private func documented() throws -> [String] {
        let file = Fixtures.packageRoot.appendingPathComponent("docs/unsupported.json")
        guard FileManager.default.fileExists(atPath: file.path) else { return [] }
        return try Fixtures.json(file)["tokenizers"]?.array?.compactMap(\.string) ?? []
    }
}

@Suite("Malformed tokenizer files")
struct MalformedTokenizerGoldenTests {
    static let folder = "quant/malformed"
    static let files = Fixtures.names(folder).filter { $0.hasPrefix("tok_") && $0.hasSuffix(".json") || $0.hasPrefix("spm_") && $0.hasSuffix(".model") }

    @Test(
        "each is refused with what, where and how to fix it",
        .enabled(if: Fixtures.has(folder), "no folder \(Fixtures.url(folder).path); set AUTODIDACT_FIXTURES"), arguments: files)
    func isRefusedGolden(file: String) throws {
        let path = Fixtures.url(MalformedTokenizerGoldenTests.folder).appendingPathComponent(file).path
        do {
            _ = try Tokenizer(path: path)
            Issue.record("\(file) was accepted")
        } catch let error as TokenizerError {
            #expect(error.description.contains(path) && error.description.hasSuffix("."), "\(error)")
            if case .malformed(_, let location, let problem, let fix) = error {
                #expect(!location.isEmpty && !problem.isEmpty && !fix.isEmpty)
            }
        }
    }
}
