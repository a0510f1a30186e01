import Foundation
import ModelFiles

/// The stages around the model, read from the sections of a `tokenizer.json`.
///
/// GGUF files and symbol lists describe theirs in the same format, so there is one reader, and what is exported is what was run.
struct Stages: Sendable {
    var normalizer: TextNormalizer?
    var preTokenizer: PreTokenizer?
    var postProcessor = PostProcessor()
    var decoder: TokenDecoder = .none
    var sentencePiece: SentencePieceDecoder?  // decodes in place of `decoder`
}

/// The sections as they stand in a `tokenizer.json`.
struct StageDescriptions: Sendable {
    var normalizer: JSON = .null
    var preTokenizer: JSON = .null
    var postProcessor: JSON = .null
    var decoder: JSON = .null

    func stages(source: String) throws -> Stages {
        let reader = StageReader(source: source)
        return try Stages(
            normalizer: reader.normalizer(normalizer, at: "normalizer"),
            preTokenizer: reader.preTokenizer(preTokenizer, at: "pre_tokenizer"),
            postProcessor: reader.postProcessor(postProcessor, at: "post_processor"),
            decoder: reader.decoder(decoder, at: "decoder") ?? .none)
    }
}

struct StageReader {
    let source: String

    func malformed(_ location: String, _ problem: String, _ fix: String = "Download the tokenizer files again, or export them again.") -> TokenizerError {
        .malformed(source: source, location: location, problem: problem, fix: fix)
    }

    func normalizer(_ json: JSON?, at path: String) throws -> TextNormalizer? {
        guard let (type, object) = try stage(json, at: path) else { return nil }
        switch type {
        case "Sequence": return .sequence(try list(object, "normalizers", at: path).compactMap { try normalizer($0.json, at: $0.path) })
        case "NFC": return .unicode(.nfc)
        case "NFD": return .unicode(.nfd)
        case "NFKC": return .unicode(.nfkc)
        case "NFKD": return .unicode(.nfkd)
        case "Lowercase": return .lowercase
        case "Prepend": return .prepend(Array(try string(object, "prepend", at: path).utf8))
        case "Strip": return .strip(left: try flag(object, "strip_left", at: path), right: try flag(object, "strip_right", at: path))
        case "StripAccents": return .stripAccents
        case "BertNormalizer":
            let lowercases = try flag(object, "lowercase", default: true, at: path)
            let stripsAccents = object["strip_accents"]?.isNull ?? true ? lowercases : try flag(object, "strip_accents", at: path)
            return .bert(
                BertNormalizer(
                    cleansText: try flag(object, "clean_text", default: true, at: path),
                    separatesChinese: try flag(object, "handle_chinese_chars", default: true, at: path), stripsAccents: stripsAccents,
                    lowercases: lowercases))
        case "Nmt": return .nmt
        case "ByteLevel": return .byteAlphabet
        case "Precompiled": return .precompiled(try characterMap(try string(object, "precompiled_charsmap", at: path), at: "\(path).precompiled_charsmap"))
        case "Replace":
            return .replace(try pattern(object, at: path), content: Array(try string(object, "content", at: path).utf8))
        default: throw malformed("\(path).type", "'\(type)' is not a known normalizer")
        }
    }

    func preTokenizer(_ json: JSON?, at path: String) throws -> PreTokenizer? {
        guard let (type, object) = try stage(json, at: path) else { return nil }
        switch type {
        case "Sequence": return .sequence(try list(object, "pretokenizers", at: path).compactMap { try preTokenizer($0.json, at: $0.path) })
        case "ByteLevel":
            return .byteLevel(
                addPrefixSpace: try flag(object, "add_prefix_space", at: path), usesPattern: try flag(object, "use_regex", default: true, at: path),
                spells: true)
        case "Split":
            return .split(try pattern(object, at: path), try behavior(object, at: path), invert: try flag(object, "invert", default: false, at: path))
        case "Digits": return .digits(individual: try flag(object, "individual_digits", at: path))
        case "Punctuation": return .punctuation(object["behavior"] == nil ? .isolated : try behavior(object, at: path))
        case "Whitespace": return .split(.words, .removed, invert: true)
        case "WhitespaceSplit": return .whitespaceSplit
        case "Metaspace":
            let (replacement, scheme) = try metaspaceSettings(object, at: path)
            return .metaspace(replacement: replacement, scheme, split: try flag(object, "split", default: true, at: path))
        case "BertPreTokenizer": return .bert
        case "CharDelimiterSplit": return .delimiter(try character(object, "delimiter", at: path))
        case "FixedLength": return .fixedLength(max(1, try count(object, "length", at: path)))
        default: throw try unknown(type, ["UnicodeScripts"], "pre-tokenizer", at: path)
        }
    }

    func decoder(_ json: JSON?, at path: String) throws -> TokenDecoder? {
        guard let (type, object) = try stage(json, at: path) else { return nil }
        switch type {
        case "Sequence": return .sequence(try list(object, "decoders", at: path).compactMap { try decoder($0.json, at: $0.path) })
        case "ByteLevel": return .byteLevel
        case "ByteFallback": return .byteFallback
        case "Fuse": return .fuse
        case "Replace": return .replace(try pattern(object, at: path), content: Array(try string(object, "content", at: path).utf8))
        case "Strip":
            return .strip(
                content: Array(String(try character(object, "content", at: path)).utf8), start: try count(object, "start", at: path), stop: try count(object, "stop", at: path))
        case "Metaspace":
            let (replacement, scheme) = try metaspaceSettings(object, at: path)
            return .metaspace(replacement: Array(String(replacement).utf8), dropsFirst: scheme != .never)
        case "BPEDecoder": return .suffix(Array(try string(object, "suffix", at: path).utf8))
        case "WordPiece":
            return .wordPiece(
                prefix: Array(try string(object, "prefix", at: path).utf8), cleansUp: try flag(object, "cleanup", default: true, at: path))
        default: throw try unknown(type, ["CTC"], "decoder", at: path)
        }
    }

    func postProcessor(_ json: JSON?, at path: String) throws -> PostProcessor {
        guard let (type, object) = try stage(json, at: path) else { return PostProcessor() }
        switch type {
        case "ByteLevel": return PostProcessor(trimmings: try trimmings(object, at: path))
        case "Sequence":
            var (whole, template) = (PostProcessor(), nil as String?)
            for part in try list(object, "processors", at: path) {
                let next = try postProcessor(part.json, at: part.path)
                whole.trimmings += next.trimmings
                guard next.single.count > 1 || next.pair.count > 2 else { continue }
                if let template { throw malformed(part.path, "a second template of special tokens beside \(template)", "Leave only one of them.") }
                template = part.path
                (whole.single, whole.pair) = (next.single, next.pair)
            }
            return whole
        case "RobertaProcessing", "BertProcessing":
            let isRoberta = type == "RobertaProcessing"
            let (cls, sep) = (try pair(object, "cls", at: path), try pair(object, "sep", at: path))
            let second = isRoberta ? 0 : 1
            let single: [PostProcessor.Part] = [.special([cls], typeID: 0), .text(isSecond: false, typeID: 0), .special([sep], typeID: 0)]
            let border: [PostProcessor.Part] = isRoberta ? [.special([sep], typeID: 0)] : []
            return PostProcessor(
                single: single, pair: single + border + [.text(isSecond: true, typeID: second), .special([sep], typeID: second)],
                trimmings: isRoberta ? try trimmings(object, at: path) : [])
        case "TemplateProcessing":
            return PostProcessor(
                single: try template(object, "single", texts: ["A"], at: path), pair: try template(object, "pair", texts: ["A", "B"], at: path))
        default: throw malformed("\(path).type", "'\(type)' is not a known post-processor")
        }
    }

    private func trimmings(_ object: JSONObject, at path: String) throws -> [PostProcessor.Trimming] {
        guard try flag(object, "trim_offsets", default: true, at: path) else { return [] }
        return [PostProcessor.Trimming(addsPrefixSpace: try flag(object, "add_prefix_space", default: true, at: path))]
    }

    /// - Parameter texts: the places that the template must have, in this order.
    private func template(_ object: JSONObject, _ key: String, texts: [String], at path: String) throws -> [PostProcessor.Part] {
        var seen: [String] = []
        let parts = try list(object, key, at: path).map { part -> PostProcessor.Part in
            let (kind, fields) = part.json.object?.members.first.map { ($0.key, $0.value) } ?? ("", .null)
            let type = fields["type_id"]?.int ?? 0
            switch (kind, fields["id"]?.string) {
            case ("Sequence", let name?):
                guard texts.contains(name) else { throw malformed(part.path, "'\(name)' is not one of the texts \(texts.joined(separator: ", "))") }
                seen.append(name)
                return .text(isSecond: name == "B", typeID: type)
            case ("SpecialToken", let name?):
                guard let definition = object["special_tokens"]?.object?[name]?.object, let ids = definition["ids"]?.array else {
                    throw malformed(part.path, "special token '\(name)' is not defined", "Define it with its ids under special_tokens.")
                }
                let names = definition["tokens"]?.array?.map { $0.string ?? name } ?? []
                return .special(
                    try ids.enumerated().map { index, id in
                        PostProcessor.Token(
                            id: try tokenID(id, at: "\(path).special_tokens.\(name).ids[\(index)]"), text: index < names.count ? names[index] : name)
                    }, typeID: type)
            default: throw malformed(part.path, "neither a Sequence nor a SpecialToken with an id")
            }
        }
        for name in texts where !seen.contains(name) { throw malformed("\(path).\(key)", "the template has no place for the text (Sequence \(name))") }
        guard seen.count == texts.count else { throw TokenizerError.unsupported(algorithm: "template that repeats the text", source: source) }
        return parts
    }

    // MARK: Fields

    func tokenID(_ json: JSON?, at path: String) throws -> Int32 {
        guard case .integer(let id)? = json else { throw malformed(path, "the id is missing or not an integer") }
        guard id >= 0, id < Tokenizer.idLimit else { throw malformed(path, "id \(id) is not between 0 and \(Tokenizer.idLimit - 1)") }
        return Int32(id)
    }

    func flag(_ object: JSONObject, _ key: String, default fallback: Bool? = nil, at path: String) throws -> Bool {
        switch object[key] {
        case .bool(let value)?: return value
        case nil:
            guard let fallback else { throw malformed("\(path).\(key)", "missing") }
            return fallback
        default: throw malformed("\(path).\(key)", "neither true nor false")
        }
    }

    private func stage(_ json: JSON?, at path: String) throws -> (type: String, object: JSONObject)? {
        switch json {
        case nil, .null?: return nil
        case .object(let object)?:
            guard let type = object["type"]?.string else { throw malformed("\(path).type", "missing") }
            return (type, object)
        default: throw malformed(path, "not an object")
        }
    }

    private func unknown(_ type: String, _ refused: [String], _ kind: String, at path: String) throws -> TokenizerError {
        refused.contains(type)
            ? .unsupported(algorithm: "\(kind) \(type)", source: source) : malformed("\(path).type", "'\(type)' is not a known \(kind)")
    }

    private func list(_ object: JSONObject, _ key: String, at path: String) throws -> [(json: JSON, path: String)] {
        guard let items = object[key]?.array else { throw malformed("\(path).\(key)", "missing, or not a list") }
        return items.enumerated().map { ($1, "\(path).\(key)[\($0)]") }
    }

    func string(_ object: JSONObject, _ key: String, at path: String) throws -> String {
        guard let text = object[key]?.string else { throw malformed("\(path).\(key)", "missing, or not a string") }
        return text
    }

    private func character(_ object: JSONObject, _ key: String, at path: String) throws -> Unicode.Scalar {
        let text = try string(object, key, at: path)
        guard let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1 else {
            throw malformed("\(path).\(key)", "'\(text)' is not one character")
        }
        return scalar
    }

    private func count(_ object: JSONObject, _ key: String, at path: String) throws -> Int {
        guard let value = object[key]?.int, value >= 0, value < 1024 else { throw malformed("\(path).\(key)", "not a number from 0 to 1023") }
        return Int(value)
    }

    private func behavior(_ object: JSONObject, at path: String) throws -> PreTokenizer.Behavior {
        let name = try string(object, "behavior", at: path)
        guard let behavior = PreTokenizer.Behavior(rawValue: name) else {
            throw malformed(
                "\(path).behavior", "'\(name)' is unknown", "Use one of \(PreTokenizer.Behavior.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        return behavior
    }

    private func pattern(_ object: JSONObject, at path: String) throws -> SplitPattern {
        let pattern = object["pattern"]?.object
        if let literal = pattern?["String"]?.string {
            guard !literal.isEmpty else { throw malformed("\(path).pattern.String", "empty") }
            return .literal(Array(literal.utf8))
        }
        guard let regex = pattern?["Regex"]?.string else { throw malformed("\(path).pattern", "has neither String nor Regex") }
        guard let known = SplitPattern.regex(regex) else { throw TokenizerError.unsupported(algorithm: "split pattern \(regex)", source: source) }
        return known
    }

    private func metaspaceSettings(_ object: JSONObject, at path: String) throws -> (Unicode.Scalar, PreTokenizer.PrependScheme) {
        let scalar = try character(object, "replacement", at: path)
        guard let name = object["prepend_scheme"]?.string else {
            return (scalar, try flag(object, "add_prefix_space", default: true, at: path) ? .always : .never)
        }
        guard let scheme = PreTokenizer.PrependScheme(rawValue: name) else {
            throw malformed("\(path).prepend_scheme", "'\(name)' is none of first, never, always")
        }
        return (scalar, scheme)
    }

    /// `["</s>", 2]`
    private func pair(_ object: JSONObject, _ key: String, at path: String) throws -> PostProcessor.Token {
        guard let pair = object[key]?.array, pair.count == 2, let text = pair[0].string else {
            throw malformed("\(path).\(key)", "not a token with its id")
        }
        return PostProcessor.Token(id: try tokenID(pair[1], at: "\(path).\(key)[1]"), text: text)
    }

    /// A table of rewritten strings, in Base64.
    private func characterMap(_ text: String, at path: String) throws -> CharacterMap {
        guard let bytes = Data(base64Encoded: text) else { throw malformed(path, "not Base64") }
        do throws(CharacterMapError) {
            return try CharacterMap(Array(bytes))
        } catch {
            throw malformed(path, error.problem)
        }
    }
}
