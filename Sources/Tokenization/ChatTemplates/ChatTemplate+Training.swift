import ModelFiles

/// A conversation as text, and what of it assistants wrote.
public struct TrainableConversation: Sendable, Equatable {
    /// What an assistant wrote in one turn, with the mark that ends the turn.
    public struct Turn: Sendable, Equatable {
        /// The place of the message among the conversation's; nil where the template itself marks what is trained.
        public var message: Int?
        /// Unicode scalars of the text.
        public var span: Range<Int>
    }

    public var text: String
    public var turns: [Turn]

    /// The parts to train on: ranges of Unicode scalars of `text`, in order, without overlaps.
    public var trainableSpans: [Range<Int>] { turns.map(\.span) }

    public func text(of turn: Turn) -> String { TemplateText(text).slice(turn.span).string }

    /// The turns whose last trained text does not end the turn: a model trained on them would not learn to stop.
    ///
    /// A turn that starts where the last one ends goes on with it.
    /// - Parameter endTokens: the texts of the tokens that end a turn, such as `<|im_end|>`. White space behind them does not count.
    public func unfinishedTurns(endTokens: [String]) -> [Turn] {
        turns.enumerated().filter { place, turn in
            if place + 1 < turns.count, turns[place + 1].span.lowerBound == turn.span.upperBound { return false }
            let end = TemplateText(text(of: turn)).stripped(at: .end)
            return !endTokens.contains { !$0.isEmpty && end.hasSuffix(TemplateText($0)) }
        }.map(\.element)
    }
}

extension ChatTemplate {
    /// The conversation as text, with the parts that assistants wrote.
    ///
    /// Templates with `{% generation %}` say it themselves. For the others each assistant's message is rendered with words of our own in its place
    /// (its texts, its reasoning, the values in its tool calls), and where these come to lie tells where the message lies. A turn starts where the
    /// generation prompt ends, and ends with the mark that the template writes behind the message, without the white space after the mark.
    /// Where a template rejects or rewrites such words, the text of the messages before and that of the messages up to it are compared instead.
    /// `ignoresTags` finds the parts of templates with `{% generation %}` as those of the others.
    /// - Throws: `ChatTemplateError`; `noMask` where a message's part cannot be told.
    public func renderForTraining(_ conversation: Conversation, ignoresTags: Bool = false) throws -> TrainableConversation {
        var conversation = conversation
        (conversation.addGenerationPrompt, conversation.continueFinalMessage) = (false, false)
        let rendered = try render(conversation)
        if marksGeneration, !ignoresTags {
            let spans = rendered.assistantSpans.filter { !$0.isEmpty }
            for (span, next) in zip(spans, spans.dropFirst()) where next.lowerBound < span.upperBound {
                throw ChatTemplateError.noMask(message: 0, reason: "because the template's {% generation %} stands where its place in the text is not known")
            }
            return TrainableConversation(text: rendered.text, turns: spans.map { TrainableConversation.Turn(message: nil, span: $0) })
        }
        var turns: [TrainableConversation.Turn] = []
        let text = TemplateText(rendered.text)
        for (place, message) in conversation.messages.enumerated() where message["role"]?.string == "assistant" {
            let span = try TurnFinder(template: self, conversation: conversation, text: text, message: place).span()
            let (start, end) = (text.scalar(ofByte: span.lowerBound), text.scalar(ofByte: span.upperBound))
            guard start >= turns.last?.span.upperBound ?? 0 else {
                throw ChatTemplateError.noMask(message: place, reason: "because it seems to start within the message before")
            }
            if start < end { turns.append(TrainableConversation.Turn(message: place, span: start..<end)) }
        }
        return TrainableConversation(text: rendered.text, turns: turns)
    }
}

/// Finds the bytes of a text that are one assistant's turn.
private struct TurnFinder {
    let template: ChatTemplate
    let conversation: Conversation
    /// All messages as the template writes them.
    let text: TemplateText
    let message: Int

    func span() throws -> Range<Int> {
        // What a model is given before it writes this turn; nil where the template does not render so little.
        let before = rendered(upTo: message)
        let prompt = rendered(upTo: message, addGenerationPrompt: true)
        let opening = Opening(before: before, prompt: prompt) ?? openingAfterQuestion()
        let probes = Probe.all(of: conversation, message: message, avoiding: text).compactMap { located($0) }

        guard let start = start(before: before, prompt: prompt, opening: opening, probes) else { throw unknown("because the template writes other text before it once it is there") }
        for probe in probes {
            guard text.hasSuffix(probe.after) else { continue }
            let end = text.utf8.count - probe.after.utf8.count
            if end >= start { return start..<trimmed(end + length(ofMarkBehind: end, probe, opening), from: end) }
        }
        // Without words of our own: the turn ends where the text of the messages up to it ends.
        for addsPrompt in [false, true] {
            guard let whole = rendered(upTo: message + 1, addGenerationPrompt: addsPrompt), let opening else { continue }
            let kept = addsPrompt ? opening.withoutPrompt(whole) : whole
            if text.hasPrefix(kept), kept.utf8.count >= start { return start..<trimmed(kept.utf8.count, from: start) }
        }
        throw unknown("because the template rewrites it, and writes it otherwise at the end of a conversation than within one")
    }

    private func unknown(_ reason: String) -> ChatTemplateError { .noMask(message: message, reason: reason) }

    private func start(before: TemplateText?, prompt: TemplateText?, opening: Opening?, _ probes: [Located]) -> Int? {
        let place = probes.map(\.before).filter { text.hasPrefix($0) }.map(\.utf8.count).min()
        guard let prompt, let opening, !opening.isEmpty else {
            // A template without generation prompt.
            return place ?? prompt.flatMap { text.hasPrefix($0) ? $0.utf8.count : nil }
        }
        if text.hasPrefix(prompt) { return prompt.utf8.count }
        guard let before, text.hasPrefix(before) else { return place }
        // The prompt may open what the message then does not have, such as reasoning: it counts up to there.
        let common = TurnFinder.common(prompt.utf8[...], text.utf8[...])
        let shared = before.utf8.count + TurnFinder.wholeTags(text.utf8[..<common].dropFirst(before.utf8.count))
        guard shared > before.utf8.count, shared <= place ?? shared, prompt.utf8[shared] == UInt8(ascii: "<") else { return place }
        return shared
    }

    /// The end of a span without the white space behind its mark.
    private func trimmed(_ end: Int, from start: Int) -> Int {
        start + TemplateText(utf8: text.utf8[start..<end]).stripped(at: .end).utf8.count
    }

    // MARK: Marks

    /// How the template asks for the next message.
    private struct Opening {
        let prompt: TemplateText

        init?(before: TemplateText?, prompt: TemplateText?) {
            guard let before, let prompt else { return nil }
            let common = TurnFinder.common(before.utf8[...], prompt.utf8[...])
            self.prompt = TemplateText(utf8: prompt.utf8[TurnFinder.wholeTags(prompt.utf8[..<common])...])
        }

        var isEmpty: Bool { prompt.isEmpty }

        func withoutPrompt(_ text: TemplateText) -> TemplateText {
            text.hasSuffix(prompt) ? TemplateText(utf8: text.utf8.dropLast(prompt.utf8.count)) : text
        }
    }

    /// As it asks behind a question, where it does not render what is before this message.
    private func openingAfterQuestion() -> Opening? {
        var question = conversation
        question.messages = [TurnFinder.question]
        let before = try? template.render(question).text
        question.addGenerationPrompt = true
        let prompt = try? template.render(question).text
        return Opening(before: before.map { TemplateText($0) }, prompt: prompt.map { TemplateText($0) })
    }

    /// How many bytes the template writes behind a message to end its turn: as far as the text goes on as it does where the message is the last,
    /// or where the next one is asked for.
    private func length(ofMarkBehind end: Int, _ probe: Located, _ opening: Opening?) -> Int {
        let rest = text.utf8[end...]
        var lengths: [Int] = []
        for addsPrompt in [false, true] {
            guard let tail = located(probe.probe, isLast: true, addGenerationPrompt: addsPrompt)?.after else { continue }
            let mark = addsPrompt ? opening?.withoutPrompt(tail) ?? tail : tail
            if rest.starts(with: mark.utf8), !addsPrompt || opening?.isEmpty == false {
                lengths.append(mark.utf8.count)
            } else if !addsPrompt || opening != nil {
                lengths.append(TurnFinder.wholeTags(tail.utf8.prefix(TurnFinder.common(rest, tail.utf8[...]))))
            }
        }
        // Some templates do not render the messages up to this one, but any answer to a question.
        if lengths.isEmpty, let tail = located(probe.probe, after: [TurnFinder.question])?.after {
            lengths.append(TurnFinder.wholeTags(tail.utf8.prefix(TurnFinder.common(rest, tail.utf8[...]))))
        }
        let length = lengths.max() ?? 0
        guard opening?.isEmpty == true, openingAfterQuestion()?.isEmpty == true else { return length }
        return min(length, lengthBeforeQuestion(probe) ?? length)
    }

    /// Where a template writes the opening of an answer whether asked for it or not, marks end where a question that follows would begin:
    /// with the text that it also begins a conversation with.
    private func lengthBeforeQuestion(_ probe: Located) -> Int? {
        let word = TemplateText("Zq\(text.utf8.count)uJ\(message)qZ")
        let asking: JSON = ["role": "user", "content": .string(word.string)]
        var first = conversation
        first.messages = [asking]
        guard let opened = try? TemplateText(template.render(first).text), let opening = opened.places(of: word, limit: 1).first,
            let tail = located(probe.probe, after: Array(conversation.messages[..<message]), before: [asking])?.after, let question = tail.places(of: word, limit: 1).first
        else { return nil }
        let shared = TurnFinder.common(opened.utf8[..<opening].reversed(), tail.utf8[..<question].reversed())
        var length = question - shared
        // Not within a tag.
        if let last = tail.utf8[..<length].lastIndex(of: UInt8(ascii: "<")), !tail.utf8[last..<length].contains(UInt8(ascii: ">")) {
            length = tail.utf8[last...].firstIndex(of: UInt8(ascii: ">")).map { $0 + 1 } ?? last
        }
        return length
    }

    private static let question: JSON = ["role": "user", "content": "?"]

    private static func common(_ a: some Sequence<UInt8>, _ b: some Sequence<UInt8>) -> Int { zip(a, b).prefix { $0 == $1 }.count }

    /// How much of a text's beginning is whole: `<|end|><` is cut before the tag that does not end.
    private static func wholeTags(_ text: ArraySlice<UInt8>) -> Int {
        guard let last = text.lastIndex(of: UInt8(ascii: "<")), !text[last...].contains(UInt8(ascii: ">")) else { return text.count }
        return last - text.startIndex
    }

    // MARK: Renderings

    private func rendered(upTo end: Int, addGenerationPrompt: Bool = false) -> TemplateText? {
        var part = conversation
        part.messages = Array(conversation.messages[..<end])
        part.addGenerationPrompt = addGenerationPrompt
        return (try? template.render(part)).map { TemplateText($0.text) }
    }

    /// A rendering with words of our own in the message, cut around them.
    private struct Located {
        let probe: Probe
        let before, after: TemplateText
    }

    private func located(_ probe: Probe, isLast: Bool = false, addGenerationPrompt: Bool = false) -> Located? {
        let before = Array(conversation.messages[..<message])
        return located(probe, after: before, before: isLast ? [] : Array(conversation.messages[(message + 1)...]), addGenerationPrompt: addGenerationPrompt)
    }

    private func located(_ probe: Probe, after earlier: [JSON], before later: [JSON] = [], addGenerationPrompt: Bool = false) -> Located? {
        var part = conversation
        part.messages = earlier + [probe.message] + later
        part.addGenerationPrompt = addGenerationPrompt
        guard let rendered = try? template.render(part) else { return nil }
        let text = TemplateText(rendered.text)
        var (first, last): (Int?, Int?) = (nil, nil)
        for word in probe.words {
            let places = text.places(of: word, limit: 2)
            // A template may leave out reasoning, but what is written twice tells no place.
            guard places.count < 2 else { return nil }
            guard let place = places.first else { continue }
            first = min(first ?? place, place)
            last = max(last ?? 0, place + word.utf8.count)
        }
        guard let first, let last else { return nil }
        return Located(probe: probe, before: TemplateText(utf8: text.utf8[..<first]), after: TemplateText(utf8: text.utf8[last...]))
    }
}

/// A message in which the texts are words that stand nowhere else.
private struct Probe {
    let message: JSON
    let words: [TemplateText]

    /// What may stand in the message's place, the most like it first.
    static func all(of conversation: Conversation, message place: Int, avoiding text: TemplateText) -> [Probe] {
        guard let message = conversation.messages[place].object else { return [] }
        var maker = WordMaker(text: text)
        var probe = message
        for name in ["reasoning_content", "thinking", "reasoning"] {
            if let reasoning = message[name]?.string, !reasoning.isEmpty { probe[name] = .string(maker.word()) }
        }
        switch message["content"] {
        case .string(let content)? where !content.isEmpty: probe["content"] = .string(maker.like(content))
        case .array(let parts)?:
            probe["content"] = .array(
                parts.map { part in
                    guard var object = part.object, part["text"]?.string != nil else { return part }
                    object["text"] = .string(maker.word())
                    return .object(object)
                })
        default: break
        }
        if let calls = message["tool_calls"]?.array { probe["tool_calls"] = .array(calls.map { maker.call($0) }) }
        var probes = maker.words.isEmpty ? [] : [Probe(message: .object(probe), words: maker.words)]
        if message["content"]?.array == nil, message["content"]?.string?.isEmpty != false {
            // A template may leave out tool calls, and write the content that is empty.
            var (probe, maker) = (message, WordMaker(text: text))
            probe["content"] = .string(maker.word())
            probes.append(Probe(message: .object(probe), words: maker.words))
        }
        return probes
    }

    private struct WordMaker {
        let text: TemplateText
        private(set) var words: [TemplateText] = []
        private var number = 0

        init(text: TemplateText) { self.text = text }

        mutating func word() -> String {
            while true {
                let word = TemplateText("Zq\(number)xJ\(number)qZ")
                number += 1
                if !text.contains(word) {
                    words.append(word)
                    return word.string
                }
            }
        }

        /// A content with reasoning in it keeps the tags around it, which templates take apart.
        mutating func like(_ content: String) -> String {
            let parts = TemplateText(content).splitFromEnd(on: "</think>", limit: 1)
            guard parts.count == 2 else { return word() }
            let opening = parts[0].contains("<think>") ? "<think>\n" : ""
            return "\(opening)\(word())\n</think>\n\n\(word())"
        }

        /// A tool call with other values: the strings among its arguments, or its name where there are none.
        mutating func call(_ call: JSON) -> JSON {
            guard var outer = call.object else { return call }
            let isWrapped = outer["function"]?.object != nil
            guard var function = isWrapped ? outer["function"]?.object : outer else { return call }
            let count = words.count
            if let arguments = function["arguments"]?.object {
                var changed = arguments
                for (name, value) in arguments.members where value.string != nil { changed[name] = .string(word()) }
                function["arguments"] = .object(changed)
            }
            if words.count == count, function["name"]?.string != nil { function["name"] = .string(word()) }
            if !isWrapped { return .object(function) }
            outer["function"] = .object(function)
            return .object(outer)
        }
    }
}
