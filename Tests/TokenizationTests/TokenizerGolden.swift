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
        let texts = try TokenizerGolden.texts()
        let parsesSpecial = meta["reference"]?.string != "sentencepiece"
        var report = Report(golden: description)
        for row in try rows("cases.jsonl") {
            let text = texts[row["i"]!.int!]!
            let what = "text \(row["i"]!.int!)"
            let ids = self.ids(row["ids"])!
            let withSpecial = self.ids(row["ids_sp"]) ?? self.ids(meta["prefix"])! + ids + self.ids(meta["suffix"])!
            report.expect(what, tokenizer.encode(text, parseSpecial: parsesSpecial), ids)
            report.expect("\(what) with special tokens", tokenizer.encode(text, addSpecialTokens: true, parseSpecial: parsesSpecial), withSpecial)
            report.expect("\(what) with offsets", tokenizer.encodeWithOffsets(text, parseSpecial: parsesSpecial).ids, withSpecial)
            report.expect("\(what) decoded", tokenizer.decode(ids, skipSpecialTokens: false), row["dec"]?.string ?? text)
            report.expect("\(what) decoded, skipping", tokenizer.decode(withSpecial, skipSpecialTokens: true), row["dec_skip"]?.string ?? row["dec"]?.string ?? text)
            if parsesSpecial {
                report.expect("\(what) as text", tokenizer.encode(text, parseSpecial: false), self.ids(row["ids_as_text"]) ?? ids)
            }
        }
        for row in try rows("offsets.jsonl") {
            compareOffsets(tokenizer, row, texts[row["i"]!.int!]!, isSentencePiece: !parsesSpecial, &report)
        }
        for (index, row) in try rows("pairs.jsonl").enumerated() {
            let pair = tokenizer.encodeWithOffsets(row["a"]!.string!, and: row["b"]!.string!)
            report.expect("pair \(index)", pair.ids, ids(row["ids"])!)
            report.expect("pair \(index), types", pair.typeIDs, row["type_ids"]!.array!.map { $0.int! })
            report.expect("pair \(index), sequences", pair.sequenceIDs, row["sequence_ids"]!.array!.map(\.int))
        }
        for row in try rows("normalized.jsonl") {
            report.expect("text \(row["i"]!.int!) normalized", tokenizer.normalized(texts[row["i"]!.int!]!), row["norm"]!.string)
        }
        for (index, row) in try rows("decode.jsonl").enumerated() {
            let ids = self.ids(row["ids"])!
            report.expect("decode row \(index)", tokenizer.decode(ids, skipSpecialTokens: false), row["dec"]?.string)
            report.expect("decode row \(index), skipping", tokenizer.decode(ids, skipSpecialTokens: true), row["dec_skip"]?.string)
        }
        for (index, row) in try rows("stream.jsonl").enumerated() {
            var stream = DecodeStream(tokenizer)
            for (id, chunk) in zip(ids(row["ids"])!, row["chunks"]!.array!) {
                report.expect("stream row \(index)", stream.step(id), chunk.string)
            }
        }
        try compareLlamaCpp(tokenizer, texts, hasOtherReference: meta["reference"] != nil, &report)
        return (report.found, report.compared)
    }

    /// Tokens and places. SentencePiece counts in UTF-8 bytes, and gives no special tokens.
    private func compareOffsets(_ tokenizer: Tokenizer, _ row: JSON, _ text: String, isSentencePiece: Bool, _ report: inout Report) {
        let what = "offsets of text \(row["i"]!.int!)"
        let encoding = tokenizer.encodeWithOffsets(text, addSpecialTokens: !isSentencePiece, parseSpecial: !isSentencePiece)
        report.expect("\(what), tokens", encoding.tokens, row["tokens"]!.array!.map { $0.string! })
        var offsets = encoding.offsets
        if isSentencePiece {
            let scalars = Array(text.unicodeScalars)
            report.expect(
                "\(what), surfaces", offsets.map { String(String.UnicodeScalarView(scalars[$0])) }, row["surfaces"]!.array!.map { $0.string! })
            let bytes = scalars.reduce(into: [0]) { $0.append($0.last! + UTF8.width($1)) }  // before each scalar
            offsets = offsets.map { bytes[$0.lowerBound]..<bytes[$0.upperBound] }
        }
        report.expect(what, offsets.map { [$0.lowerBound, $0.upperBound] }, row["offsets"]!.array!.map { $0.array!.map { $0.int! } })
        if let words = row["word_ids"]?.array { report.expect("\(what), words", encoding.wordIDs, words.map(\.int)) }
        if let mask = row["special_mask"]?.array {
            report.expect("\(what), special tokens", encoding.isAddedSpecial.map { $0 ? 1 : 0 }, mask.map { $0.int! })
        }
    }

    /// The texts and ids that come with the vocabularies of llama.cpp; llama.cpp's own ids where there is no other reference.
    private func compareLlamaCpp(_ tokenizer: Tokenizer, _ texts: [Int: String], hasOtherReference: Bool, _ report: inout Report) throws {
        if let name = Fixtures.names("tokenizers/\(description)").first(where: { $0.hasSuffix(".inp") }) {
            let input = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            let output = try String(contentsOf: folder.appendingPathComponent(name.dropLast(3) + "out"), encoding: .utf8)
            let parts = input.components(separatedBy: "\n__ggml_vocab_test__\n")
            for (index, (text, line)) in zip(parts, output.split(separator: "\n", omittingEmptySubsequences: false)).enumerated() {
                report.expect("\(name) \(index)", tokenizer.encode(text, parseSpecial: false), line.split(separator: " ").map { Int32($0)! })
            }
        }
        if hasOtherReference { return }
        for row in try rows("llama_cpp.jsonl") {
            let text = texts[row["i"]!.int!]!
            report.expect("llama.cpp, text \(row["i"]!.int!)", tokenizer.encode(text), ids(row["ids"])!)
            report.expect("llama.cpp, text \(row["i"]!.int!) as text", tokenizer.encode(text, parseSpecial: false), ids(row["ids_plain"]) ?? ids(row["ids"])!)
        }
    }

    /// How many of the texts the exported `tokenizer.json`, loaded again, encodes as before, and the first that it does not.
    func exportDifferences(_ tokenizer: Tokenizer) throws -> (found: [String], compared: Int) {
        let files = tokenizer.huggingFaceFiles()
        let again = try Tokenizer(
            tokenizerJSON: JSON.parse(files.tokenizerJSON.text(), source: "export"),
            tokenizerConfig: JSON.parse(files.tokenizerConfig.text(), source: "export"), source: "export")
        var report = Report(golden: "\(description), export")
        for (number, text) in try TokenizerGolden.texts().sorted(by: { $0.key < $1.key }) {
            for parseSpecial in [true, false] {
                report.expect(
                    "text \(number)", again.encode(text, addSpecialTokens: true, parseSpecial: parseSpecial),
                    tokenizer.encode(text, addSpecialTokens: true, parseSpecial: parseSpecial))
            }
        }
        report.expect("EOS and BOS", [again.eosToken, again.bosToken], [tokenizer.eosToken, tokenizer.bosToken])
        report.expect("chat template", again.chatTemplate, tokenizer.chatTemplate)
        return (report.found, report.compared)
    }

    /// The share of answers that the export may give differently. A `tokenizer.json` cannot say all that a SentencePiece model says: it rewrites
    /// whole graphemes, adds scores in double precision, does not fuse unknown words, and has no pieces that normalization leaves alone.
    var exportAllowance: Double {
        switch description {
        case "spm/spm_word": 0.25
        case "spm/spm_unigram_user_defined": 0.1
        case "spm/spm_unigram_bytefallback", "spm/spm_bpe_nfkc", "spm/spm_char", "spm/spm_unigram_nmt_nfkc", "spm/spm_unigram_nmt_nfkc_cf",
            "gguf/nomic-bert-moe":
            0.04
        default: 0
        }
    }

    /// The texts of all cases, by number.
    private static func texts() throws -> [Int: String] {
        try Dictionary(uniqueKeysWithValues: Fixtures.lines(Fixtures.url("tokenizers/texts.jsonl")).map { ($0["i"]!.int!, $0["text"]!.string!) })
    }

    private func rows(_ file: String) throws -> [JSON] { try Fixtures.lines(folder.appendingPathComponent(file)) }
    private func ids(_ json: JSON?) -> [Int32]? { json?.array?.map { Int32($0.int!) } }
}

/// Answers beside those of the reference.
private struct Report {
    let golden: String
    var found: [String] = []
    var compared = 0

    init(golden: String) { self.golden = golden }

    mutating func expect<Answer: Equatable>(_ what: String, _ got: [Answer], _ wanted: [Answer]) {
        compared += 1
        if got != wanted { found.append("\(golden) \(what): \(got.prefix(40)), reference \(wanted.prefix(40))") }
    }

    mutating func expect(_ what: String, _ got: [String], _ wanted: [String]) {
        compared += 1
        let isEqual = got.count == wanted.count && zip(got, wanted).allSatisfy { isSame($0, $1) }
        if !isEqual { found.append("\(golden) \(what): \(got.prefix(40)), reference \(wanted.prefix(40))") }
    }

    mutating func expect(_ what: String, _ got: String?, _ wanted: String?) {
        compared += 1
        if !isSame(got, wanted) { found.append("\(golden) \(what): \(String(reflecting: got)), reference \(String(reflecting: wanted))") }
    }
}
