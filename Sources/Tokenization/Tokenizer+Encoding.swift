extension Tokenizer {
    /// The ids of a text.
    ///
    /// `addSpecialTokens` puts the tokens of the post-processor (such as BOS) around the text. `parseSpecial` recognises
    /// special tokens written in the text; false treats them as text.
    public func encode(_ text: String, addSpecialTokens: Bool = false, parseSpecial: Bool = true) -> [Int32] {
        var tokens = Tokens(isTracked: false)
        scratch.borrow { scratch in
            forEachPart(of: Array(text.utf8), parseSpecial: parseSpecial, isTracked: false) { part in
                switch part {
                case .token(let id, _, _): tokens.append(id, 0, 0)
                case .words(let words):
                    let bytes = words.text.bytes.span
                    for range in words.ranges { model.encode(bytes.extracting(range), into: &tokens, using: &scratch) }
                }
            }
        }
        return addSpecialTokens ? postProcessor(tokens.ids) : tokens.ids
    }

    /// The tokens of a text, and of a second one that belongs to it (a question and its context), with their places in the texts.
    ///
    /// Slower than `encode`, which gives the same ids.
    public func encodeWithOffsets(
        _ text: String, and second: String? = nil, addSpecialTokens: Bool = true, parseSpecial: Bool = true
    ) -> Encoding {
        let first = located(text, parseSpecial: parseSpecial)
        return postProcessor(first, second.map { located($0, parseSpecial: parseSpecial) }, addsSpecialTokens: addSpecialTokens)
    }

    /// A text as the algorithm sees it: normalized, with special tokens in it treated as text.
    public func normalized(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let whole = AlignedText(bytes, 0..<bytes.count, isTracked: false)
        return String(decoding: (normalizer?.normalize(whole) ?? whole).bytes, as: UTF8.self)
    }

    private func located(_ text: String, parseSpecial: Bool) -> Encoding {
        let bytes = Array(text.utf8)
        var scalarIndex: [Int] = []  // [bytes + 1]
        scalarIndex.reserveCapacity(bytes.count + 1)
        var scalars = 0
        for byte in bytes {
            if byte & 0xC0 != 0x80 { scalars += 1 }
            scalarIndex.append(scalars - 1)
        }
        scalarIndex.append(scalars)
        func offsets(_ origin: AlignedText.Origin) -> Range<Int> {
            // The end of a range that ends inside a character is the end of the character.
            var end = Int(origin.end)
            while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            return scalarIndex[Int(origin.start)]..<max(scalarIndex[Int(origin.start)], scalarIndex[end])
        }
        var encoding = Encoding()
        var wordID = 0
        scratch.borrow { scratch in
            forEachPart(of: bytes, parseSpecial: parseSpecial, isTracked: true) { part in
                switch part {
                case .token(let id, let text, let origin):
                    encoding.append(id, String(decoding: text, as: UTF8.self), offsets(origin), wordID: wordID)
                    wordID += 1
                case .words(let words):
                    let span = words.text.bytes.span
                    for range in words.ranges {
                        var tokens = Tokens(isTracked: true)
                        model.encode(span.extracting(range), into: &tokens, using: &scratch)
                        for (id, place) in zip(tokens.ids, tokens.places) {
                            let (start, end) = (range.lowerBound + Int(place.start), range.lowerBound + Int(place.end))
                            let text = spellsUnknown && id == model.unknownToken ? String(decoding: words.text.bytes[start..<end], as: UTF8.self) : nil
                            encoding.append(id, text ?? piece(id) ?? "", offsets(words.text.origin(from: start, to: end)), wordID: wordID)
                        }
                        wordID += 1
                    }
                }
            }
        }
        return encoding
    }

    /// The parts of a text that leave no token, so that a model would not see them, five at most: a vocabulary that has neither all bytes nor
    /// an unknown token drops what it does not know. Unprintable ones are spelled as bytes (`<0x13>`). White space, and what the normalizer
    /// takes away by design, are not among them.
    public func partsWithoutToken(of text: String) -> [String] {
        guard model.unknownToken == nil else { return [] }
        var parts: [String] = []
        forEachPart(of: Array(text.utf8), parseSpecial: true, isTracked: false) { part in
            guard parts.count < 5, case .words(let words) = part else { return }
            for range in words.ranges {
                let word = words.text.bytes[range]
                for run in model.droppedRuns(in: words.text.bytes.span.extracting(range)) {
                    let piece = word[word.startIndex + run.lowerBound..<word.startIndex + run.upperBound]
                    let bytes = model.readsBytes ? Array(piece) : decoder.bytes(of: piece)
                    let text = String(validating: bytes, as: UTF8.self)
                    if text?.allSatisfy(\.isWhitespace) == true { continue }
                    let isPrintable = text?.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } ?? false
                    let part = isPrintable ? text! : String(decoding: bytes.flatMap(byteTokenSpelling), as: UTF8.self)
                    if parts.count < 5, !parts.contains(part) { parts.append(part) }
                }
            }
        }
        return parts
    }

    private enum Part {
        case token(Int32, ArraySlice<UInt8>, AlignedText.Origin)  // an added token as it stands in the text
        case words(PreTokenizer.Words)
    }

    /// What encodes by itself: added tokens, and the words of the text between them, normalized.
    private func forEachPart(of text: [UInt8], parseSpecial: Bool, isTracked: Bool, _ body: (Part) -> Void) {
        for segment in addedTokens.splitOriginal(text, parseSpecial: parseSpecial) {
            switch segment {
            case .token(let id, let range):
                body(.token(id, text[range], AlignedText.Origin(start: Int32(range.lowerBound), end: Int32(range.upperBound))))
            case .text(let range):
                let original = AlignedText(text, range, isTracked: isTracked)
                let normalized = normalizer?.normalize(original) ?? original
                let segments = addedTokens.splitNormalized(normalized.bytes, parseSpecial: parseSpecial)
                for segment in segments {
                    switch segment {
                    case .token(let id, let range):
                        body(.token(id, normalized.bytes[range], normalized.origin(from: range.lowerBound, to: range.upperBound)))
                    case .text(let part):
                        let isWhole = part.count == normalized.count
                        var words = PreTokenizer.Words(isWhole ? normalized : normalized[part], startsText: range.lowerBound == 0 && part.lowerBound == 0)
                        preTokenizer?.split(&words)
                        body(.words(words))
                    }
                }
            }
        }
    }
}
