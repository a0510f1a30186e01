import Foundation
import ModelFiles
import Testing

import Tokenization

@Suite("Chat templates")
struct ChatTemplateTests {
    private let conversation: [(role: String, content: String)] = [("system", "Be terse."), ("user", "1+1?"), ("assistant", "2")]

    private func rendered(_ source: String, addGenerationPrompt: Bool = false, eosToken: String? = "</s>") throws -> String {
        try ChatTemplate(source).render(messages: conversation, addGenerationPrompt: addGenerationPrompt, bosToken: "<s>", eosToken: eosToken)
    }

    @Test("a ChatML template writes roles, contents and the generation prompt")
    func chatML() throws {
        let source = """
            {% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message.content + '<|im_end|>' + '\\n' }}{% endfor %}
            {% if add_generation_prompt %}
            {{ '<|im_start|>assistant\\n' }}
            {%- endif %}
            """
        let text = "<|im_start|>system\nBe terse.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
        #expect(try rendered(source) == text)
        #expect(try rendered(source, addGenerationPrompt: true) == text + "<|im_start|>assistant\n")
    }

    @Test(
        "expressions mean what they mean in Jinja",
        arguments: [
            ("{{ messages[0].role ~ 1 }}", "system1"), ("{{ messages[-1]['content'] }}", "2"), ("{{ messages | length }}", "3"),
            ("{{ '  a ' | trim + 'b' }}", "ab"), ("{{ 1 if bos_token == '<s>' else 2 }}", "1"), ("{{ nothing }}|{{ none }}|{{ true }}", "|None|True"),
            ("{{ nothing is defined or bos_token is defined }}", "True"), ("{{ not nothing and 'x' }}", "x"),
            ("{% for m in messages[1:] %}{{ loop.index0 }}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", "0user, 1assistant"),
            ("{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}", "1"),
            ("{% if 'sys' in messages[0].role and 'q' not in bos_token %}yes{% elif true %}no{% else %}never{% endif %}", "yes"),
            ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"), ("a  {%- if true -%}  b  {%- endif %} c", "ab c"),
            ("a {# comment #}b{#- c -#}  d", "a bd"), ("{{ 'é' == 'e\u{301}' }}", "False"), ("{{ -1 % 3 }}{{ 5 - 2 - 1 }}", "22"),
        ])
    func expressions(source: String, text: String) throws {
        #expect(isSame(try rendered(source), text))
    }

    @Test(
        "what is not supported is named with its line",
        arguments: [
            ("a\n{% macro x() %}{% endmacro %}", "the tag 'macro'", 2), ("{{ x | tojson }}", "the filter 'tojson'", 1),
            ("\n\n{{ strftime_now('%Y') }}", "the function 'strftime_now'", 3), ("{{ bos_token.strip() }}", "the method 'strip'", 1),
            ("{% set ns.x = 1 %}", "'set' of anything but one variable", 1), ("{{ [1] }}", "a list or dictionary literal", 1),
            ("{% for a, b in messages %}{% endfor %}", "a loop over several variables", 1), ("{{ x is mapping }}", "the test 'mapping'", 1),
            ("{{ 2 * 3 }}", "the operator '*'", 1), ("{{ '\\x41' }}", "the escape \\x", 1),
        ])
    func refusals(source: String, construct: String, line: Int) {
        #expect(throws: ChatTemplateError.unsupported(construct: construct, line: line)) { try ChatTemplate(source) }
    }

    @Test(
        "broken templates are refused",
        arguments: ["{% if x %}", "{% endif %}", "{{ 'a }}", "{{ a", "{# a", "{% for m of x %}{% endfor %}", "{{ }}", "{{ (a }}", "{% if %}{% endif %}", "{%", "{{ a b }}", "{{ a.1 }}", "{{ ^ }}"])
    func brokenTemplates(source: String) {
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(source) }
    }

    @Test("what Jinja refuses while rendering is an error")
    func renderingErrors() throws {
        #expect(throws: ChatTemplateError.raised(message: "no system")) { try rendered("{{ raise_exception('no ' + messages[0].role) }}") }
        #expect(throws: ChatTemplateError.rendering(problem: "'x' is undefined", line: 1)) { try rendered("{{ x.y }}") }
        #expect(throws: ChatTemplateError.rendering(problem: "'eos_token' is undefined", line: 1)) { try rendered("{{ 'a' + eos_token }}", eosToken: nil) }
        #expect(throws: ChatTemplateError.rendering(problem: "'+' between 'str' and 'int'", line: 1)) { try rendered("{{ 'a' + 1 }}") }
    }

    @Test("a hostile template runs into a limit, not into the ground")
    func limits() throws {
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(String(repeating: "(", count: 10_000).withBraces) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(("a" + String(repeating: "+a", count: 10_000)).withBraces) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate("a" + String(repeating: "not ", count: 10_000).withBraces) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(String(repeating: "{% if a %}", count: 10_000)) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(String(repeating: "x", count: ChatTemplate.maximumSourceBytes + 1)) }
        let loops = String(repeating: "{% for a in messages %}", count: 14) + "x" + String(repeating: "{% endfor %}", count: 14)
        #expect(throws: ChatTemplateError.limit("\(ChatTemplate.maximumSteps) steps")) { try rendered(loops) }
        let doubling = "{% set a = 'x' %}" + String(repeating: "{% set a = a + a %}", count: 60)
        #expect(throws: ChatTemplateError.self) { try rendered(doubling) }
    }

    struct Golden: CustomStringConvertible, Sendable {
        let description: String
        static let folder = "chat_templates"
        static var all: [Golden] {
            Fixtures.names("\(folder)/templates").filter { $0.hasSuffix(".jinja") }.map { Golden(description: String($0.dropLast(6))) }
        }
    }

    /// Made with transformers and Jinja2 (see the README there). Conversations with more than roles and texts cannot be given to `render`.
    @Test(
        "templates render as Jinja2 renders them, as far as they are not refused",
        .enabled(if: Fixtures.has(Golden.folder), "no folder \(Fixtures.url(Golden.folder).path); set AUTODIDACT_FIXTURES"), arguments: Golden.all)
    func matchesJinjaGolden(golden: Golden) throws {
        let inputs = try Fixtures.json(Fixtures.url("\(Golden.folder)/inputs.json"))
        let source = try String(contentsOf: Fixtures.url("\(Golden.folder)/templates/\(golden).jinja"), encoding: .utf8)
        let special = try #require(inputs["special_tokens"]?.object)
        let others = special.keys.filter { !["bos_token", "eos_token"].contains($0) }
        if others.contains(where: { source.contains($0) }) { return }  // `render` cannot be given them
        let template: ChatTemplate
        do { template = try ChatTemplate(source) } catch ChatTemplateError.unsupported { return }
        for row in try Fixtures.lines(Fixtures.url("\(Golden.folder)/cases/\(golden).jsonl")) {
            let name = row["case"]!.string!
            guard let input = inputs["cases"]?[name]?.object, let messages = plainMessages(input) else { continue }
            do {
                let text = try template.render(
                    messages: messages, addGenerationPrompt: input["add_generation_prompt"]?.bool ?? false, bosToken: special["bos_token"]?.string,
                    eosToken: special["eos_token"]?.string)
                #expect(isSame(text, row["text"]?.string), "\(golden), \(name): \(String(reflecting: text)), Jinja2 \(String(reflecting: row["text"]?.string))")
            } catch ChatTemplateError.unsupported {
                continue
            } catch {
                #expect(row["error"] != nil, "\(golden), \(name): \(error)")
            }
        }
    }

    @Test(
        "some of the templates in use are supported",
        .enabled(if: Fixtures.has(Golden.folder), "no folder \(Fixtures.url(Golden.folder).path); set AUTODIDACT_FIXTURES"))
    func someAreSupportedGolden() throws {
        let supported = try Golden.all.filter { golden in
            let source = try String(contentsOf: Fixtures.url("\(Golden.folder)/templates/\(golden).jinja"), encoding: .utf8)
            return (try? ChatTemplate(source)) != nil
        }
        #expect(!supported.isEmpty)
    }

    private func plainMessages(_ input: JSONObject) -> [(role: String, content: String)]? {
        for (key, value) in input.members where !["messages", "add_generation_prompt"].contains(key) {
            if value.isNull || value.bool == false || value.object?.isEmpty == true { continue }
            return nil
        }
        var messages: [(role: String, content: String)] = []
        for message in input["messages"]?.array ?? [] {
            guard message.object?.count == 2, let role = message["role"]?.string, let content = message["content"]?.string else { return nil }
            messages.append((role, content))
        }
        return messages
    }
}

extension String {
    fileprivate var withBraces: String { "{{ \(self) }}" }
}
