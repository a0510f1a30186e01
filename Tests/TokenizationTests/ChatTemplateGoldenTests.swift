import Foundation
import ModelFiles
import Testing

import Tokenization

/// Templates, conversations and features in `fixtures/chat_templates`, made with transformers and Jinja2 (see the README there).
struct ChatTemplateGolden: CustomStringConvertible, Sendable {
    static let folder = "chat_templates"
    static let isPresent = Fixtures.has(folder)
    static let absence: Comment = "no folder \(Fixtures.url(folder).path); set AUTODIDACT_FIXTURES"
    static var all: [ChatTemplateGolden] {
        Fixtures.names("\(folder)/templates").filter { $0.hasSuffix(".jinja") }.map { ChatTemplateGolden(description: String($0.dropLast(6))) }
    }

    let description: String

    /// The clock of the fixtures: 2024-07-26 14:05:09.
    static func set(clockOf conversation: inout Conversation) {
        conversation.now = Date(timeIntervalSince1970: 1_722_002_709)
        conversation.timeZone = TimeZone(secondsFromGMT: 0)!
    }

    static func inputs() throws -> JSON { try Fixtures.json(Fixtures.url("\(folder)/inputs.json")) }

    static func conversation(_ input: JSON, of inputs: JSON) -> Conversation {
        var variables = inputs["special_tokens"]?.object ?? JSONObject()
        for (name, value) in input["kwargs"]?.object?.members ?? [] { variables[name] = value }
        var conversation = Conversation(
            messages: input["messages"]?.array ?? [], tools: input["tools"]?.array, documents: input["documents"]?.array, variables: variables)
        conversation.addGenerationPrompt = input["add_generation_prompt"]?.bool ?? false
        conversation.continueFinalMessage = input["continue_final_message"]?.bool ?? false
        set(clockOf: &conversation)
        return conversation
    }

    func template() throws -> ChatTemplate {
        try ChatTemplate(String(contentsOf: Fixtures.url("\(ChatTemplateGolden.folder)/templates/\(description).jinja"), encoding: .utf8))
    }

    func rows() throws -> [JSON] { try Fixtures.lines(Fixtures.url("\(ChatTemplateGolden.folder)/cases/\(description).jsonl")) }

    /// How many answers were compared, by kind, and every difference from the reference in words.
    struct Comparison {
        var (texts, raised, errors, spans) = (0, 0, 0, 0)
        var differences: [String] = []

        static func += (a: inout Comparison, b: Comparison) {
            a.texts += b.texts
            a.raised += b.raised
            a.errors += b.errors
            a.spans += b.spans
            a.differences += b.differences
        }
    }

    func comparison(_ template: ChatTemplate? = nil) throws -> Comparison {
        let (template, inputs) = (try template ?? self.template(), try ChatTemplateGolden.inputs())
        var comparison = Comparison()
        for row in try rows() {
            let name = row["case"]?.string ?? ""
            let conversation = ChatTemplateGolden.conversation(inputs["cases"]?[name] ?? .null, of: inputs)
            func differs(_ what: String) { comparison.differences.append("\(description), \(name): \(what)") }
            do {
                let rendered = try template.render(conversation)
                comparison.texts += 1
                guard let text = row["text"]?.string else {
                    differs("rendered, but the reference fails with \(row["message"]?.string ?? "an error")")
                    continue
                }
                if !isSame(rendered.text, text) { differs("\(String(reflecting: rendered.text)), reference \(String(reflecting: text))") }
                guard let spans = row["assistant_spans"]?.array?.compactMap({ $0.array?.compactMap(\.int) }) else { continue }
                comparison.spans += 1
                // The reference counts its spans before it cuts the text of a message that is to be continued; ours end with the text.
                let end = text.unicodeScalars.count
                let expected = spans.filter { !conversation.continueFinalMessage || $0[0] < end }.map { $0[0]..<(conversation.continueFinalMessage ? min($0[1], end) : $0[1]) }
                if rendered.assistantSpans != expected { differs("spans \(rendered.assistantSpans), reference \(expected)") }
            } catch ChatTemplateError.raised(let message) {
                comparison.raised += 1
                if row["error"]?.string != "raise_exception" || !isSame(message, row["message"]?.string) { differs("raised \(message), reference \(row.text())") }
            } catch let error as ChatTemplateError {
                comparison.errors += 1
                if row["error"] == nil || row["error"]?.string == "raise_exception" { differs("\(error), reference \(row.text())") }
            }
        }
        return comparison
    }
}

@Suite("Chat templates against Jinja2")
struct ChatTemplateGoldenTests {
    @Test("templates write the reference's bytes and spans, or fail as it does", .enabled(if: ChatTemplateGolden.isPresent, ChatTemplateGolden.absence), arguments: ChatTemplateGolden.all)
    func matchesReferenceGolden(golden: ChatTemplateGolden) throws {
        let comparison = try golden.comparison()
        #expect(comparison.differences.isEmpty, "\(comparison.differences.count) differences; first: \(comparison.differences.prefix(2))")
        let compared = comparison.texts + comparison.raised + comparison.errors
        #expect(try compared == golden.rows().count && compared > 0)
    }

    @Test("all kinds of answers are compared", .enabled(if: ChatTemplateGolden.isPresent, ChatTemplateGolden.absence))
    func countsGolden() throws {
        let all = ChatTemplateGolden.all
        var sum = ChatTemplateGolden.Comparison()
        for golden in all { sum += try golden.comparison() }
        print("\(all.count) chat templates: \(sum.texts) texts, \(sum.raised) raised, \(sum.errors) other errors, \(sum.spans) with spans; \(sum.differences.count) differ")
        #expect(sum.differences.isEmpty && sum.texts > 0 && sum.raised > 0 && sum.errors > 0)
    }

    @Test("features mean what they mean in Jinja2", .enabled(if: ChatTemplateGolden.isPresent, ChatTemplateGolden.absence))
    func featuresMatchReferenceGolden() throws {
        let features = try Fixtures.json(Fixtures.url("\(ChatTemplateGolden.folder)/jinja_features.json"))
        let cases = try #require(features["cases"]?.array)
        var conversation = Conversation(messages: features["messages"]?.array ?? [])
        ChatTemplateGolden.set(clockOf: &conversation)
        var passed = 0
        for feature in cases {
            let source = feature["template"]?.string ?? ""
            let text = try? ChatTemplate(source).render(conversation).text
            let matches = isSame(text, feature["text"]?.string) && (text != nil || feature["error"] != nil)
            passed += matches ? 1 : 0
            #expect(matches, "\(source): \(text.map { String(reflecting: $0) } ?? "an error"), reference \(feature.text())")
        }
        print("\(passed) of \(cases.count) features of the template language")
        #expect(!cases.isEmpty)
    }

    /// The golden's check itself: a wrong answer must be seen.
    @Test("a template that is not the reference's is found out", .enabled(if: ChatTemplateGolden.isPresent, ChatTemplateGolden.absence))
    func wrongTemplateIsFoundOutGolden() throws {
        let wrong = try ChatTemplate("{% for message in messages %}{{ message.role }}{% endfor %}")
        for golden in ChatTemplateGolden.all { #expect(try !golden.comparison(wrong).differences.isEmpty) }
    }
}

@Suite("Trainable spans against the generation tag")
struct TrainableSpansGoldenTests {
    /// Where what is found differs from the tag in more than the header before the message and the white space behind it:
    /// a tag leaves out what opens the tool's answer, counts the next message's role as the mark, or leaves out the end of the whole text.
    static let documented: Set<String> = ["trl-diffusion_gemma_training", "trl-glm4moe_training", "trl-phi3_training", "trl-phi3_5_training"]

    @Test("spans found by words of our own end where the tag ends", .enabled(if: ChatTemplateGolden.isPresent, ChatTemplateGolden.absence))
    func spansAgreeWithTagsGolden() throws {
        let inputs = try ChatTemplateGolden.inputs()
        var (same, shorter, other) = (0, 0, 0)
        for golden in ChatTemplateGolden.all {
            let template = try golden.template()
            guard template.marksGeneration else { continue }
            for (name, input) in inputs["cases"]?.object?.members ?? [] {
                let conversation = ChatTemplateGolden.conversation(input, of: inputs)
                // Conversations that the template refuses have no spans.
                guard let tagged = try? template.renderForTraining(conversation) else { continue }
                let found = try template.renderForTraining(conversation, ignoresTags: true)
                #expect(isSame(found.text, tagged.text))
                var parts: [Range<Int>] = []
                for span in tagged.trainableSpans {
                    if let last = parts.last, last.upperBound == span.lowerBound { parts[parts.count - 1] = last.lowerBound..<span.upperBound } else { parts.append(span) }
                }
                let scalars = Array(tagged.text.unicodeScalars)
                func trimmed(_ span: Range<Int>) -> Range<Int> {
                    var span = span
                    while let last = scalars[span].last, last.properties.isWhitespace { span = span.lowerBound..<(span.upperBound - 1) }
                    while let first = scalars[span].first, first.properties.isWhitespace { span = (span.lowerBound + 1)..<span.upperBound }
                    return span
                }
                let (wanted, got) = (parts.map(trimmed).filter { !$0.isEmpty }, found.trainableSpans.map(trimmed).filter { !$0.isEmpty })
                if wanted == got {
                    same += 1
                } else if wanted.count == got.count, zip(wanted, got).allSatisfy({ $0.upperBound == $1.upperBound && $0.lowerBound <= $1.lowerBound }) {
                    shorter += 1
                } else {
                    other += 1
                    if !Self.documented.contains(golden.description) { print("\(golden), \(name): trainable \(got), the tag \(wanted)") }
                }
            }
        }
        print("trainable spans: \(same) as the tag, \(shorter) without a header that the tag includes, \(other) otherwise")
        #expect(same > 0 && other * 20 <= same + shorter)
    }

    @Test("of templates without the tag, every turn has a span or a reason", .enabled(if: ChatTemplateGolden.isPresent, ChatTemplateGolden.absence))
    func untaggedTemplatesGolden() throws {
        let inputs = try ChatTemplateGolden.inputs()
        var (found, refused) = (0, 0)
        let names = ["system_full", "multi_nogen", "tool_conv_done", "think", "reasoning"].filter { inputs["cases"]?[$0] != nil }
        for golden in ChatTemplateGolden.all {
            let template = try golden.template()
            guard !template.marksGeneration else { continue }
            for name in names {
                var conversation = ChatTemplateGolden.conversation(inputs["cases"]?[name] ?? .null, of: inputs)
                conversation.addGenerationPrompt = false
                guard let text = try? template.render(conversation).text else { continue }
                do {
                    let trainable = try template.renderForTraining(conversation)
                    found += 1
                    #expect(isSame(trainable.text, text))
                    for (turn, next) in zip(trainable.turns, trainable.turns.dropFirst()) { #expect(turn.span.upperBound <= next.span.lowerBound) }
                    for turn in trainable.turns {
                        guard let message = turn.message, name == "multi_nogen", let content = conversation.messages[message]["content"]?.string else { continue }
                        #expect(trainable.text(of: turn).contains(content), "\(golden): \(trainable.text(of: turn))")
                    }
                } catch ChatTemplateError.noMask(_, let reason) {
                    refused += 1
                    #expect(!reason.isEmpty)
                }
            }
        }
        print("trainable spans of templates without the tag: \(found) conversations, \(refused) refused with a reason")
        #expect(names.isEmpty || found > 0 && refused * 20 <= found)
    }
}
