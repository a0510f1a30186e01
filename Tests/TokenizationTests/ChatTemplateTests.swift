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
        "what is wrong is named with its line",
        arguments: [
            ("a\n{% bogus %}", "there is no tag 'bogus'", 2), ("{{ x | bogus }}", "there is no filter 'bogus'", 1), ("\n\n{{ x is bogus }}", "there is no test 'bogus'", 3),
            ("{% if x %}\n", "'if' without its 'endif'", 1), ("\n{{ 'a", "a string that does not end", 2), ("\n{% raw %}", "'raw' without its 'endraw'", 2),
            ("{% break %}", "'break' or 'continue' outside of a loop", 1), ("{% for a in b %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", "'break' or 'continue' outside of a loop", 1),
            ("{% macro m(a, a) %}{% endmacro %}", "two parameters 'a'", 1), ("{{ (1 }}", "'}' closes nothing", 1),
        ])
    func syntaxErrors(source: String, problem: String, line: Int) {
        #expect(throws: ChatTemplateError.syntax(problem: problem, line: line)) { try ChatTemplate(source) }
    }

    @Test("a tag that reads another template is an error where it is reached")
    func otherTemplates() throws {
        #expect(try rendered("{% if false %}{% include 'x' %}{% endif %}ok") == "ok")
        #expect(throws: ChatTemplateError.unsupported(construct: "the tag 'include', which reads another template,", line: 2)) { try rendered("a\n{% include 'x' %}") }
    }

    @Test(
        "broken templates are refused",
        arguments: ["{% if x %}", "{% endif %}", "{{ 'a }}", "{{ a", "{# a", "{% for m of x %}{% endfor %}", "{{ }}", "{{ (a }}", "{% if %}{% endif %}", "{%", "{{ a b }}", "{{ a.'b' }}", "{{ ^ }}"])
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
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(("a" + String(repeating: "|upper", count: 10_000)).withBraces) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate("a" + String(repeating: "-", count: 10_000).withBraces) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(String(repeating: "{% if a %}", count: 10_000)) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate(String(repeating: "x", count: ChatTemplate.maximumSourceBytes + 1)) }
        let loops = String(repeating: "{% for a in messages %}", count: 14) + "x" + String(repeating: "{% endfor %}", count: 14)
        #expect(throws: ChatTemplateError.limit("\(ChatTemplate.maximumSteps) steps", line: 1)) { try rendered(loops) }
        let doubling = "{% set a = 'x' %}" + String(repeating: "{% set a = a + a %}", count: 60)
        #expect(throws: ChatTemplateError.self) { try rendered(doubling) }
    }

    @Test(
        "what would grow without end runs into a limit",
        arguments: [
            "{{ 'x' * 10000000000 }}", "{{ [1] * 10000000000 }}", "{{ 'x'.ljust(10000000000) }}", "{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}", "{{ 2 ** 1000 }}",
            "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "{% macro f(n=f()) %}{% endmacro %}{{ f() }}",
            "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
            "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
            "{% set n = namespace(x=[]) %}{% for i in range(1000) %}{% set n.x = [n.x] %}{% endfor %}",
            "{% set n = namespace(x=[1]) %}{% for i in range(1000) %}{% set n.x = n.x | map('string') %}{% endfor %}",
            "{% set n = namespace() %}{% set n.x = n %}{{ n }}",
        ])
    func growth(source: String) {
        do {
            let text = try rendered(source)
            Issue.record("rendered \(text.prefix(80))")
        } catch ChatTemplateError.limit(let limit, let line) {
            #expect(!limit.isEmpty && line == 1)
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test("values that share their parts are neither compared nor printed part by part for ever")
    func sharedParts() throws {
        let doubled = "{% set a = [1] %}{% set b = [1] %}" + String(repeating: "{% set a = [a, a] %}{% set b = [b, b] %}", count: 60)
        #expect(throws: ChatTemplateError.self) { try rendered(doubled + "{{ a == b }}") }
        #expect(throws: ChatTemplateError.self) { try rendered(doubled + "{{ a | tojson }}") }
    }

    @Test("nesting and recursion keep within a stack of 512 KiB, and what is deeper is refused")
    func nesting() throws {
        func repeated(_ opening: String, _ closing: String, _ count: Int) -> String { String(repeating: opening, count: count) + "1" + String(repeating: closing, count: count) }
        let brackets = [("(", ")"), ("[", "]"), ("{'a':", "}"), ("f(", ")"), ("1|default(", ")"), ("1 if 0 else ", ""), ("not ", ""), ("-", ""), ("1 or 1 and 1 < 1 + 1 ~ 1 * 1 ** (", ")")]
        let tags = [("{% if 1 %}", "{% endif %}"), ("{% for a in [1] %}", "{% endfor %}"), ("{% set x %}", "{% endset %}"), ("{% filter upper %}", "{% endfilter %}")]
        var sources = [60, 10_000].flatMap { count in brackets.map { repeated($0, $1, count).withBraces } + tags.map { repeated($0, $1, count) } }
        sources.append("{% macro f(n) %}{% if 1 %}{% for i in [1] %}{{ [1 + (f(f(n)) | upper | length)] }}{% endfor %}{% endif %}{% endmacro %}{{ f(1) }}")
        sources.append("{% macro f(n=f()) %}{% endmacro %}{{ f() }}")
        let all = sources
        // Reaching the end of the thread at all is what is tested.
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            for source in all { _ = try? ChatTemplate(source).render(Conversation(messages: [])) }
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        done.wait()
        #expect(throws: ChatTemplateError.limit("64 tags and brackets inside each other", line: 1)) { try ChatTemplate(repeated("(", ")", 10_000).withBraces) }
        #expect(try rendered(repeated("{% if 1 %}", "{% endif %}", 60)) == "1")
    }

    @Test("arguments at the ends of what a number holds do no harm", arguments: ["-9223372036854775809", "9223372036854775808", "-1", "0"])
    func extremeArguments(number: String) {
        let uses = [
            "'a'.zfill(N)", "'a'.center(N)", "'a\\tb'.expandtabs(N)", "'ab'[N:]", "'ab'[::N]", "[1][N]", "[1] | batch(N) | list", "[1] | slice(N) | list", "'a' | indent(N)",
            "'a' | truncate(N)", "'a' | wordwrap(N)", "1.5 | round(N)", "7 | round(N)", "[1] | tojson(indent=N)", "'a'.split('b', N)", "'a'.replace('a', 'b', N)", "'a'.find('a', N)",
            "[1].index(1, N)", "'%*d' % (N, 1)", "'%c' % N", "range(N)", "range(0, N, N)", "'a' | int(0, N)", "N // -1", "N % -1", "2 ** N", "-N", "N | abs",
        ]
        var answered = 0
        for use in uses {
            let source = use.replacingOccurrences(of: "N", with: "(\(number))").withBraces
            // A text, or an error of the template's: nothing else, and it takes no more than the limits.
            do {
                #expect(try rendered(source).utf8.count <= ChatTemplate.maximumOutputBytes, "\(source)")
                answered += 1
            } catch {
                #expect(error is ChatTemplateError, "\(source): \(error)")
            }
        }
        #expect(answered > 0 && answered <= uses.count)
    }

    @Test("a range has at most 100000 numbers")
    func ranges() {
        #expect(throws: ChatTemplateError.rendering(problem: "a range() of more than 100000 numbers", line: 1)) { try rendered("{% for i in range(100001) %}{% endfor %}") }
    }

    @Test("what templates are given cannot be changed")
    func sandbox() throws {
        for source in ["{{ messages.append(1) }}", "{{ messages[0].update({}) }}", "{{ messages[0].pop('role') }}", "{% set messages.x = 1 %}", "{{ ''.__class__.__mro__ }}", "{{ namespace(_x=1) }}"] {
            #expect(throws: ChatTemplateError.self) { try rendered(source) }
        }
        #expect(try rendered("{{ messages.append is defined }}{{ ''.__class__ }}") == "False")
    }
}

@Suite("Conversations as text")
struct ConversationTests {
    private static let chatML = """
        {%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content | trim) + '<|im_end|>\n' }}{% endfor %}
        {%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
        """
    private static let question: JSON = ["role": "user", "content": "Count"]

    @Test("parts, tools, documents and further variables reach the template")
    func variables() throws {
        let template = try ChatTemplate("{{ messages[0].content[0].text }}{{ tools[0].name }}{{ documents }}{{ bos_token }}{{ enable_thinking }}{{ tools is defined }}")
        let message: JSON = ["role": "user", "content": [["type": "text", "text": "hi"]]]
        let conversation = Conversation(messages: [message], tools: [["name": "f"]], variables: JSONObject([("bos_token", "<s>"), ("enable_thinking", false)]))
        #expect(try template.render(conversation).text == "hifNone<s>FalseTrue")
    }

    @Test("reasoning is given under the names that templates read", arguments: ["reasoning_content", "thinking", "reasoning"])
    func reasoning(name: String) throws {
        let message = JSON.object(JSONObject([("role", "assistant"), ("content", "x"), (name, "why")]))
        #expect(try ChatTemplate("{{ messages[0].reasoning_content }}{{ messages[0].thinking }}").render(Conversation(messages: [message])).text == "whywhy")
    }

    @Test("a message that is to be continued ends the text")
    func continuation() throws {
        var conversation = Conversation(messages: [ConversationTests.question, ["role": "assistant", "content": "1, 2, "]])
        conversation.continueFinalMessage = true
        #expect(try ChatTemplate(ConversationTests.chatML).render(conversation).text.hasSuffix("<|im_start|>assistant\n1, 2,"))
        #expect(try ChatTemplate("{{ messages[-1].content }}!").render(conversation).text == "1, 2, ")
        #expect(throws: ChatTemplateError.continuation(problem: "the template does not write it as it is")) { try ChatTemplate("{{ messages[0].content }}").render(conversation) }
        conversation.messages = []
        #expect(throws: ChatTemplateError.continuation(problem: "there is no message")) { try ChatTemplate("content").render(conversation) }
    }

    @Test("the clock is the caller's")
    func clock() throws {
        var conversation = Conversation(messages: [])
        (conversation.now, conversation.timeZone) = (Date(timeIntervalSince1970: 951_782_400), TimeZone(secondsFromGMT: 3600)!)
        #expect(try ChatTemplate("{{ strftime_now('%d %B %Y, %H:%M, %j %U %V %G') }}").render(conversation).text == "29 February 2000, 01:00, 060 09 09 2000")
    }

    @Test("texts of many megabytes are refused")
    func hugeTexts() throws {
        let message: JSON = ["role": "user", "content": .string(String(repeating: "x", count: 100 << 20))]
        #expect(throws: ChatTemplateError.self) { try ChatTemplate("{{ messages[0].content }}").render(Conversation(messages: [message])) }
    }

    @Test("a turn to train on holds the answer and the mark that ends it, not the header and the line end")
    func trainableTurns() throws {
        let conversation = Conversation(messages: [
            ConversationTests.question, ["role": "assistant", "content": " one two "], ConversationTests.question, ["role": "assistant", "content": "three"],
        ])
        let trainable = try ChatTemplate(ConversationTests.chatML).renderForTraining(conversation)
        #expect(trainable.turns.map { trainable.text(of: $0) } == ["one two<|im_end|>", "three<|im_end|>"])
        #expect(trainable.turns.map(\.message) == [1, 3])
        #expect(trainable.unfinishedTurns(endTokens: ["<|im_end|>"]).isEmpty)
        #expect(trainable.unfinishedTurns(endTokens: ["</s>"]).count == 2)
    }

    @Test("spans count Unicode scalars")
    func scalars() throws {
        let conversation = Conversation(messages: [["role": "user", "content": "e\u{301}👋🏽"], ["role": "assistant", "content": "é👍🏽"]])
        let trainable = try ChatTemplate(ConversationTests.chatML).renderForTraining(conversation)
        #expect(trainable.turns.map { trainable.text(of: $0) } == ["é👍🏽<|im_end|>"])
        #expect(trainable.trainableSpans[0].count == 3 + "<|im_end|>".count)
    }

    @Test("a template that rewrites answers still has spans, one that refuses or drops them a reason")
    func rewritingTemplates() throws {
        let conversation = Conversation(messages: [ConversationTests.question, ["role": "assistant", "content": "one"]])
        let shouting = try ChatTemplate("{% for m in messages %}[{{ m.role }}]{{ m.content | upper }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}")
        let trainable = try shouting.renderForTraining(conversation)
        #expect(trainable.turns.map { trainable.text(of: $0) } == ["ONE</s>"])
        let strict = try ChatTemplate(
            "{% for m in messages %}{% if m.role == 'assistant' and m.content != 'one' %}{{ raise_exception('no') }}{% endif %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}")
        #expect(try strict.renderForTraining(conversation).trainableSpans == trainable.trainableSpans)
        let counting = try ChatTemplate("{{ messages | length }}: {{ messages | map(attribute='content') | map('length') | sum }}")
        #expect {
            try counting.renderForTraining(conversation)
        } throws: { error in
            if case ChatTemplateError.noMask(message: 1, _) = error { true } else { false }
        }
    }

    @Test("the generation tag decides where there is one")
    func generationTag() throws {
        let template = try ChatTemplate("{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}")
        let conversation = Conversation(messages: [ConversationTests.question, ["role": "assistant", "content": "né"]])
        let rendered = try template.render(conversation)
        #expect(template.marksGeneration && rendered.assistantSpans.map { rendered.text(of: $0) } == ["né</s>"])
        #expect(try template.renderForTraining(conversation).trainableSpans == rendered.assistantSpans)
    }
}

extension String {
    fileprivate var withBraces: String { "{{ \(self) }}" }
}
