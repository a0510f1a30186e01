import Foundation

/// What a SentencePiece model says: pieces with scores, and how text is prepared. Read from a `.model` file, or from the metadata of a GGUF file.
///
/// Source: Kudo and Richardson 2018, arXiv:1808.06226; google/sentencepiece `src/sentencepiece_model.proto`.
struct SentencePieceModel: Sendable {
    enum Algorithm: Int, Sendable { case unigram = 1, bytePairs, word, character }

    struct Piece: Sendable {
        var text: String
        var score: Double = 0
        var kind: PieceKind = .normal
    }

    var algorithm = Algorithm.unigram
    var pieces: [Piece] = []
    var hasByteFallback = false
    var normalizer = SentencePieceNormalizer()
    var unknownSurface = " \u{2047} "
    var bos: Int32?
    var eos: [Int32] = []
    var padding: Int32?
}

extension SentencePieceModel {
    /// Reads a `.model` file.
    /// - Throws: `TokenizerError`.
    init(path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw TokenizerError.unreadable(path: path, reason: "the file cannot be read")
        }
        let bytes = Array(data)
        do throws(ProtobufReader.Problem) {
            try self.init(protobuf: bytes)
        } catch {
            throw TokenizerError.malformed(
                source: path, location: "byte \(error.place)", problem: error.text,
                fix: "Download the file again; it must be a SentencePiece model.")
        }
        guard !pieces.isEmpty else {
            throw TokenizerError.malformed(
                source: path, location: "the file", problem: "it holds no pieces", fix: "Download the file again; it must be a SentencePiece model.")
        }
    }

    private init(protobuf bytes: [UInt8]) throws(ProtobufReader.Problem) {
        self.init()
        var names = (bos: "<s>", eos: "</s>", padding: "<pad>")
        var reader = ProtobufReader(bytes)
        while true {
            let start = reader.place
            guard let (field, value) = try reader.next() else { break }
            guard case .bytes(let range) = value else { continue }
            switch field {
            case 1:
                guard pieces.count < Tokenizer.idLimit else { throw ProtobufReader.Problem(place: start, text: "more than \(Tokenizer.idLimit) pieces") }
                pieces.append(try SentencePieceModel.piece(bytes, range))
            case 2: try readTrainer(bytes, range, &names)
            case 3: try readNormalizer(bytes, range)
            case 5:
                var denormalizer = SentencePieceModel()
                try denormalizer.readNormalizer(bytes, range)
                guard denormalizer.normalizer.characterMap == nil else {
                    throw ProtobufReader.Problem(place: start, text: "rules for decoding (denormalizer_spec) are not supported")
                }
            default: break  // self tests
            }
        }
        func id(_ name: String) -> Int32? { pieces.firstIndex { $0.kind == .control && $0.text.utf8.elementsEqual(name.utf8) }.map(Int32.init) }
        bos = id(names.bos)
        eos = id(names.eos).map { [$0] } ?? []
        padding = id(names.padding)
    }

    private static func piece(_ bytes: [UInt8], _ range: Range<Int>) throws(ProtobufReader.Problem) -> Piece {
        var piece = Piece(text: "")
        var reader = ProtobufReader(bytes, in: range)
        while true {
            let start = reader.place
            guard let (field, value) = try reader.next() else { return piece }
            switch (field, value) {
            case (1, .bytes(let range)): piece.text = try text(bytes, range)
            case (2, .fixed32(let bits)):
                piece.score = Double(Float(bitPattern: bits))
                guard piece.score.isFinite else { throw ProtobufReader.Problem(place: start, text: "the score of a piece is not a finite number") }
            case (3, .varint(let number)):
                let kinds: [PieceKind] = [.normal, .unknown, .control, .userDefined, .unused, .byte]
                guard number >= 1, number <= 6 else { throw ProtobufReader.Problem(place: start, text: "\(number) is not a type of piece") }
                piece.kind = kinds[Int(number) - 1]
            default: break
            }
        }
    }

    private mutating func readTrainer(
        _ bytes: [UInt8], _ range: Range<Int>, _ names: inout (bos: String, eos: String, padding: String)
    ) throws(ProtobufReader.Problem) {
        var reader = ProtobufReader(bytes, in: range)
        while true {
            let start = reader.place
            guard let (field, value) = try reader.next() else { return }
            switch (field, value) {
            case (3, .varint(let number)):
                guard let known = Int(exactly: number).flatMap(Algorithm.init(rawValue:)) else {
                    throw ProtobufReader.Problem(place: start, text: "\(number) is not a type of model")
                }
                algorithm = known
            case (24, .varint(let number)): normalizer.treatsWhitespaceAsSuffix = number != 0
            case (35, .varint(let number)): hasByteFallback = number != 0
            case (44, .bytes(let range)): unknownSurface = try SentencePieceModel.text(bytes, range)
            case (46, .bytes(let range)): names.bos = try SentencePieceModel.text(bytes, range)
            case (47, .bytes(let range)): names.eos = try SentencePieceModel.text(bytes, range)
            case (48, .bytes(let range)): names.padding = try SentencePieceModel.text(bytes, range)
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ bytes: [UInt8], _ range: Range<Int>) throws(ProtobufReader.Problem) {
        var reader = ProtobufReader(bytes, in: range)
        while true {
            let start = reader.place
            guard let (field, value) = try reader.next() else { return }
            switch (field, value) {
            case (2, .bytes(let range)):
                if range.isEmpty { continue }
                do throws(CharacterMapError) {
                    normalizer.characterMap = try CharacterMap(Array(bytes[range]))
                } catch {
                    throw ProtobufReader.Problem(place: start, text: error.problem)
                }
            case (3, .varint(let number)): normalizer.addsDummyPrefix = number != 0
            case (4, .varint(let number)): normalizer.removesExtraWhitespace = number != 0
            case (5, .varint(let number)): normalizer.escapesWhitespace = number != 0
            default: break
            }
        }
    }

    private static func text(_ bytes: [UInt8], _ range: Range<Int>) throws(ProtobufReader.Problem) -> String {
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw ProtobufReader.Problem(place: range.lowerBound, text: "a string that is not UTF-8")
        }
        return text
    }
}
