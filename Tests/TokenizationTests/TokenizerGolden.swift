import Foundation
import ModelFiles

import Tokenization

/// One folder of `fixtures/tokenizers/<kind>/<name>`, made with tokenizers, sentencepiece and gguf (see the README there).
struct TokenizerGolden: CustomStringConvertible, Sendable {
    static let kinds = ["gguf", "hf", "spm"]
    static var all: [TokenizerGolden] {
        kinds.flatMap { kind in Fixtures.names("tokenizers/\(kind)").map { TokenizerGolden(description: "\(kind)/\($0)") } }
    }

    let description: String
    var folder: URL { Fixtures.url("tokenizers/\(description)") }

    func load() throws -> Tokenizer {
        let gguf = Fixtures.names("tokenizers/\(description)").first { $0.hasSuffix(".gguf") }
        return try Tokenizer(path: gguf.map { folder.appendingPathComponent($0).path } ?? folder.path)
    }

    /// Every difference from the reference, in words, and how many answers were compared.
    func differences(_ tokenizer: Tokenizer) throws -> (found: [String], compared: Int) {
        let meta = try Fixtures.json(folder.appendingPathComponent("meta.json"))
        let texts = try Dictionary(uniqueKeysWithValues: Fixtures.lines(Fixtures.url("tokenizers/texts.jsonl")).map { ($0["i"]!.int!, $0["text"]!.string!) })
        let parsesSpecial = meta["reference"]?.string != "sentencepiece"
        var (found, compared) = ([String](), 0)
        func expect(_ what: String, _ got: [Int32], _ wanted: [Int32]) {
            compared += 1
            if got != wanted { found.append("\(description) \(what): ids \(got.prefix(40)), reference \(wanted.prefix(40))") }
        }
        func expect(_ what: String, _ got: String?, _ wanted: String?) {
            compared += 1
            if !isSame(got, wanted) { found.append("\(description) \(what): \(String(reflecting: got)), reference \(String(reflecting: wanted))") }
        }
        for row in try Fixtures.lines(folder.appendingPathComponent("cases.jsonl")) {
            let text = texts[row["i"]!.int!]!
            let what = "text \(row["i"]!.int!)"
            let ids = self.ids(row["ids"])!
            let withSpecial = self.ids(row["ids_sp"]) ?? self.ids(meta["prefix"])! + ids + self.ids(meta["suffix"])!
            expect(what, tokenizer.encode(text, parseSpecial: parsesSpecial), ids)
            expect("\(what) with special tokens", tokenizer.encode(text, addSpecialTokens: true, parseSpecial: parsesSpecial), withSpecial)
            expect("\(what) decoded", tokenizer.decode(ids, skipSpecialTokens: false), row["dec"]?.string ?? text)
            expect("\(what) decoded, skipping", tokenizer.decode(withSpecial, skipSpecialTokens: true), row["dec_skip"]?.string ?? row["dec"]?.string ?? text)
            if parsesSpecial {
                expect("\(what) as text", tokenizer.encode(text, parseSpecial: false), self.ids(row["ids_as_text"]) ?? ids)
            }
        }
        for (index, row) in try Fixtures.lines(folder.appendingPathComponent("decode.jsonl")).enumerated() {
            let ids = self.ids(row["ids"])!
            expect("decode row \(index)", tokenizer.decode(ids, skipSpecialTokens: false), row["dec"]?.string)
            expect("decode row \(index), skipping", tokenizer.decode(ids, skipSpecialTokens: true), row["dec_skip"]?.string)
        }
        for (index, row) in try Fixtures.lines(folder.appendingPathComponent("stream.jsonl")).enumerated() {
            var stream = DecodeStream(tokenizer)
            for (id, chunk) in zip(ids(row["ids"])!, row["chunks"]!.array!) {
                expect("stream row \(index)", stream.step(id), chunk.string)
            }
        }
        return (found, compared)
    }

    /// What the exported `tokenizer.json`, loaded again, encodes differently.
    func exportDifferences(_ tokenizer: Tokenizer) throws -> [String] {
        let files = tokenizer.huggingFaceFiles()
        let text = files.tokenizerJSON.text()
        let again = try Tokenizer(
            tokenizerJSON: JSON.parse(text, source: "export"), tokenizerConfig: JSON.parse(files.tokenizerConfig.text(), source: "export"),
            source: "export")
        var found: [String] = []
        for row in try Fixtures.lines(Fixtures.url("tokenizers/texts.jsonl")) {
            let text = row["text"]!.string!
            for parseSpecial in [true, false] {
                let (first, second) = (tokenizer.encode(text, addSpecialTokens: true, parseSpecial: parseSpecial), again.encode(text, addSpecialTokens: true, parseSpecial: parseSpecial))
                if first != second { found.append("\(description), export, text \(row["i"]!.int!): \(second.prefix(40)) instead of \(first.prefix(40))") }
            }
        }
        if tokenizer.eosToken != again.eosToken || tokenizer.bosToken != again.bosToken { found.append("\(description), export: other BOS or EOS") }
        if !isSame(tokenizer.chatTemplate, again.chatTemplate) { found.append("\(description), export: other chat template") }
        return found
    }

    private func ids(_ json: JSON?) -> [Int32]? { json?.array?.map { Int32($0.int!) } }
}
