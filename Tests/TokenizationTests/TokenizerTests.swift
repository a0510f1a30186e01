import Foundation
import ModelFiles
import Testing

import Tokenization

/// GPT-2's alphabet: printable bytes stand for themselves, the others for characters from 256 on.
private let byteAlphabet: [Unicode.Scalar] = {
    let printable = [33...126, 161...172, 174...255].map { Array($0) }.joined()
    var next = 256
    return (0...255).map { byte in
        if printable.contains(byte) { return Unicode.Scalar(UInt8(byte)) }
        defer { next += 1 }
        return Unicode.Scalar(UInt32(next))!
    }
}()

@Suite("Tokenizer")
struct TokenizerTests {
    /// Byte-level BPE over all bytes with the given merges.
    private func byteLevel(merges: [(String, String)] = [], preTokenizer: JSON? = nil, config: JSON? = nil, added: [JSON] = []) throws -> Tokenizer {
        var vocabulary = JSONObject()
        for scalar in byteAlphabet { vocabulary[String(scalar)] = .integer(Int64(vocabulary.count)) }
        for (left, right) in merges { vocabulary[left + right] = .integer(Int64(vocabulary.count)) }
        vocabulary["<|end|>"] = .integer(Int64(vocabulary.count))
        let stage: JSON = ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true]
        let json: JSON = [
            "added_tokens": .array([["id": vocabulary["<|end|>"]!, "content": "<|end|>", "special": true]] + added), "normalizer": .null,
            "pre_tokenizer": preTokenizer ?? stage, "post_processor": .null, "decoder": stage,
            "model": ["type": "BPE", "vocab": .object(vocabulary), "merges": .array(merges.map { .array([.string($0.0), .string($0.1)]) })],
        ]
        return try Tokenizer(tokenizerJSON: json, tokenizerConfig: config, source: "test")
    }

    @Test("symbols are tokens in their order, longer ones are matched in the text")
    func symbols() throws {
        let symbols = ["0", "1", "2", "+", " ", "\n", "<scratch>", "</scratch>", "="]
        let tokenizer = try Tokenizer.symbols(symbols, special: ["<eos>"])
        #expect(tokenizer.vocabularySize == 10)
        #expect(tokenizer.encode("1+1 =\n<scratch>2</scratch><eos>") == [1, 3, 1, 4, 8, 5, 6, 2, 7, 9])
        #expect(tokenizer.decode([1, 3, 1, 4, 8, 5, 6, 2, 7, 9]) == "1+1 =\n<scratch>2</scratch><eos>")
        #expect(tokenizer.decode([6, 2, 7, 9], skipSpecialTokens: true) == "<scratch>2</scratch>")
        #expect((tokenizer.eosToken, tokenizer.eosTokens, tokenizer.bosToken) == (9, [9], nil))
        #expect(tokenizer.isSpecial(9) && !tokenizer.isSpecial(6))
        #expect((tokenizer.id(of: "<eos>"), tokenizer.piece(6), tokenizer.bytes(of: 4)) == (9, "<scratch>", [32]))
        #expect(tokenizer.partsWithoutToken(of: "<scratch>1+1\t=</scratch>").isEmpty)
        #expect(tokenizer.partsWithoutToken(of: "1×1ab<scratch>1×1\u{13}") == ["×", "ab", "<0x13>"])
        #expect(try byteLevel(merges: [("b", "c")]).partsWithoutToken(of: "abc × 月").isEmpty)
    }

    @Test("a tokenizer of symbols survives export and import")
    func symbolsExport() throws {
        let tokenizer = try Tokenizer.symbols(["a", "b", "<x>", " "], special: ["<eos>", "<stop>"])
        let files = tokenizer.huggingFaceFiles()
        let again = try Tokenizer(
            tokenizerJSON: JSON.parse(files.tokenizerJSON.text(), source: "test"), tokenizerConfig: files.tokenizerConfig, source: "test")
        #expect(again.encode("ab <x>a<eos><stop>") == [0, 1, 3, 2, 0, 4, 5])
        #expect(again.eosToken == 4)
        #expect(files.tokenizerConfig["tokenizer_class"] == "PreTrainedTokenizerFast")
        #expect(files.tokenizerConfig["clean_up_tokenization_spaces"] == false)
        // As in a tokenizer.json, only the first ends the sequence by role.
        #expect((tokenizer.eosTokens, again.eosTokens) == ([4, 5], [4]))
    }

    @Test("symbol lists that cannot be told apart are refused", arguments: [["a", "a"], [""], ["é"], ["<x>", "<x>"]])
    func badSymbols(symbols: [String]) {
        #expect(throws: TokenizerError.self) { try Tokenizer.symbols(symbols) }
    }

    @Test("merges go by rank, leftmost first")
    func merging() throws {
        let tokenizer = try byteLevel(merges: [("b", "c"), ("a", "b"), ("a", "a"), ("aa", "a")])
        func pieces(_ text: String) -> [String] { tokenizer.encode(text).map { tokenizer.piece($0)! } }
        #expect(pieces("abc") == ["a", "bc"])
        #expect(pieces("aaaa") == ["aa", "aa"])
        #expect(pieces("aaaaa") == ["aa", "aaa"])
        #expect(pieces("ab ab") == ["ab", "Ġ", "ab"])
    }

    @Test("long and short words merge alike", arguments: [2, 31, 32, 33, 64, 500])
    func longWords(count: Int) throws {
        let tokenizer = try byteLevel(merges: [("a", "b"), ("ab", "a"), ("b", "b"), ("aba", "bb"), ("aa", "a"), ("a", "a")].filter { $0.0 != "aa" })
        var state: UInt64 = 7
        var word = ""
        for _ in 0..<count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            word += state >> 62 == 0 ? "b" : "a"
        }
        // The definition: merge the best pair until there is none.
        var pieces = word.map(String.init)
        let merges = ["a b", "ab a", "b b", "aba bb", "a a"]
        while let best = merges.indices.first(where: { rank in zip(pieces, pieces.dropFirst()).contains { "\($0) \($1)" == merges[rank] } }) {
            let place = pieces.indices.dropLast().first { "\(pieces[$0]) \(pieces[$0 + 1])" == merges[best] }!
            pieces[place] += pieces.remove(at: place + 1)
        }
        #expect(tokenizer.encode(word).map { tokenizer.piece($0)! } == pieces)
    }

    @Test("digits are split one by one or as a number, whatever their script")
    func digits() throws {
        func pieces(_ text: String, individual: Bool) throws -> [String] {
            let stages: JSON = [
                "type": "Sequence",
                "pretokenizers": [
                    ["type": "Digits", "individual_digits": .bool(individual)], ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false],
                ],
            ]
            let tokenizer = try byteLevel(merges: [("a", "1"), ("1", "2"), ("2", "b"), ("b", "b")], preTokenizer: stages)
            return tokenizer.encode(text).map { tokenizer.piece($0)! }
        }
        #expect(try pieces("a12bb", individual: true) == ["a", "1", "2", "bb"])
        #expect(try pieces("a12bb", individual: false) == ["a", "12", "bb"])
        #expect(try pieces("", individual: true) == [])
    }

    @Test("a stream never splits a character")
    func streaming() throws {
        let tokenizer = try byteLevel()
        let text = "é👋🏽 x"
        var stream = DecodeStream(tokenizer)
        let chunks = tokenizer.encode(text).map { stream.step($0) }
        #expect(chunks == [nil, "é", nil, nil, nil, "👋", nil, nil, nil, "🏽", " ", "x"])
        #expect(stream.finish() == nil)
        let ids = tokenizer.encode("a👋")
        for id in ids.dropLast() { _ = stream.step(id) }
        #expect(stream.finish() == "\u{FFFD}")
        #expect(ids.flatMap { tokenizer.bytes(of: $0) } == Array("a👋".utf8))
    }

    @Test("special tokens in the text are tokens, or text when asked")
    func specialTokens() throws {
        let tokenizer = try byteLevel(config: ["eos_token": ["content": "<|end|>"], "chat_template": "{{ bos_token }}"])
        let end = try #require(tokenizer.eosToken)
        #expect(tokenizer.encode("a<|end|>").last == end)
        #expect(tokenizer.encode("a<|end|>", parseSpecial: false).count == 8)
        #expect(tokenizer.decode(tokenizer.encode("a<|end|>b"), skipSpecialTokens: true) == "ab")
        #expect(tokenizer.chatTemplate == "{{ bos_token }}")
        #expect(tokenizer.decode([-1, 1_000_000]) == "" && tokenizer.bytes(of: -1) == [] && tokenizer.piece(-1) == nil)
    }

    @Test("canonically equivalent added tokens stay apart")
    func canonicalEquivalence() throws {
        let tokenizer = try Tokenizer.symbols(["<\u{E9}>", "<e\u{301}>"], special: ["<eos>"])
        #expect(tokenizer.encode("<\u{E9}><e\u{301}>") == [0, 1])
    }

    @Test("added tokens respect word borders and take their white space")
    func addedTokens() throws {
        let tokenizer = try byteLevel(added: [
            ["id": 257, "content": "<m>", "lstrip": true], ["id": 258, "content": "cat", "single_word": true], ["id": 259, "content": "<m>x"],
            ["id": 260, "content": "<s>", "special": true, "rstrip": true],
        ])
        func pieces(_ text: String, parseSpecial: Bool = true) -> [String] {
            tokenizer.encode(text, parseSpecial: parseSpecial).map { tokenizer.piece($0)! }
        }
        #expect(pieces("a  <m> b") == ["a", "<m>", "Ġ", "b"])
        #expect(pieces("cat cats") == ["cat", "Ġ", "c", "a", "t", "s"])
        #expect(pieces("<m>x") == ["<m>x"])
        #expect(pieces("<s>  a") == ["<s>", "a"])
        #expect(pieces("<s>a", parseSpecial: false) == ["<", "s", ">", "a"])
    }

    @Test("offsets are in scalars of the original text, whatever normalization does to it")
    func offsets() throws {
        let json: JSON = [
            "added_tokens": [["id": 0, "content": "[UNK]", "special": true], ["id": 5, "content": "[X]", "special": true, "lstrip": true]],
            "normalizer": ["type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": .null, "lowercase": true],
            "pre_tokenizer": ["type": "BertPreTokenizer"], "decoder": ["type": "WordPiece", "prefix": "##", "cleanup": true],
            "post_processor": ["type": "BertProcessing", "sep": ["b", 3], "cls": ["a", 1]],
            "model": [
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 4,
                "vocab": ["[UNK]": 0, "a": 1, "##e": 2, "b": 3, "\u{6708}": 4],
            ],
        ]
        let tokenizer = try Tokenizer(tokenizerJSON: json, source: "test")
        let first = tokenizer.encodeWithOffsets("\u{1} A\u{301}\u{C9}\u{6708} [X]aeeee aeeeee", and: "b", addSpecialTokens: false)
        #expect(first.ids == [1, 2, 4, 5, 0, 0, 3])
        #expect(first.tokens == ["a", "##e", "\u{6708}", " [X]", "[UNK]", "[UNK]", "b"])
        #expect(first.offsets == [2..<3, 4..<5, 5..<6, 6..<10, 10..<15, 16..<22, 0..<1])
        #expect(first.wordIDs == [0, 0, 1, 2, 3, 4, 0])
        #expect((first.sequenceIDs, first.typeIDs) == ([0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1]))
        let pair = tokenizer.encodeWithOffsets("a", and: "b")
        #expect((pair.ids, pair.typeIDs) == ([1, 1, 3, 3, 3], [0, 0, 0, 1, 1]))
        #expect(pair.isAddedSpecial == [true, false, true, false, true])
        #expect(tokenizer.encode("ae \u{6708}b") == [1, 2, 4, 3] && tokenizer.decode([1, 2, 4, 3]) == "ae \u{6708} b")
    }

    @Test("the likeliest pieces are found, in short and in long texts alike", arguments: [1, 3, 1000])
    func unigram(repetitions: Int) throws {
        let json: JSON = [
            "added_tokens": [], "normalizer": .null, "pre_tokenizer": .null, "post_processor": .null, "decoder": .null,
            "model": [
                "type": "Unigram", "unk_id": 0, "byte_fallback": false,
                "vocab": [["<unk>", 0], ["a", -2], ["b", -2], ["ab", -3], ["ba", -2.5], ["abab", -7]],
            ],
        ]
        let tokenizer = try Tokenizer(tokenizerJSON: json, source: "test")
        // abab: a + ba + b = −6.5 against ab + ab = −6 and abab = −7; unknown neighbours are one token.
        let ids = tokenizer.encode(String(repeating: "ababxy", count: repetitions))
        #expect(ids == Array(repeatElement([3, 3, 0], count: repetitions).joined()))
        #expect(tokenizer.encodeWithOffsets("ababxya").offsets == [0..<2, 2..<4, 4..<6, 6..<7])
    }

    @Test("a tokenizer encodes on several threads at once")
    func threads() async throws {
        let tokenizer = try byteLevel(merges: [("b", "c"), ("a", "b")])
        let expected = (0..<100).map { tokenizer.encode("abc \($0) bc") }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { (0..<100).allSatisfy { tokenizer.encode("abc \($0) bc") == expected[$0] } } }
            for await isEqual in group { #expect(isEqual) }
        }
    }

    @Test(
        "damaged SentencePiece models are refused with the place",
        arguments: [[UInt8]]([[0x0A, 0x02, 0x0A], [0x0A, 0x03, 0x18, 0x07, 0x00], [0x0A, 0x04, 0x0A, 0x02, 0xC3, 0x28]]))
    func damagedModel(bytes: [UInt8]) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("damaged-\(UUID().uuidString).model")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        #expect {
            try Tokenizer(path: file.path)
        } throws: { error in
            guard case TokenizerError.malformed(_, let location, _, _)? = error as? TokenizerError else { return false }
            return location.hasPrefix("byte ")
        }
    }

    @Test("an unknown split pattern is refused by its text")
    func unknownPattern() {
        let stage: JSON = ["type": "Split", "pattern": ["Regex": "[a-c]+?"], "behavior": "Isolated", "invert": false]
        #expect(throws: TokenizerError.unsupported(algorithm: "split pattern [a-c]+?", source: "test")) { try byteLevel(preTokenizer: stage) }
    }

    @Test("errors say what, where and how to fix it")
    func messages() {
        #expect(
            TokenizerError.malformed(source: "tokenizer.json", location: "model.merges[3]", problem: "not two pieces", fix: "Export it again.").description
                == "tokenizer.json: model.merges[3]: not two pieces. Export it again.")
        #expect(TokenizerError.unsupported(algorithm: "Unigram", source: "a.gguf").description.hasPrefix("a.gguf: the tokenizer needs 'Unigram', which is not supported."))
        #expect(throws: TokenizerError.unreadable(path: "/nonexistent", reason: "no such file")) { try Tokenizer(path: "/nonexistent") }
        #expect(throws: TokenizerError.self) { try byteLevel(config: ["eos_token": "<nope>"]) }
    }
}
