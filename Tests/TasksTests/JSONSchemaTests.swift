import Foundation
import ModelFiles
import Sampling
import Tasks
import Testing

@Suite("JSON Schema")
struct JSONSchemaTests {
    /// A schema, values that it allows, and values that it forbids with the pointer to what it forbids.
    struct Case: CustomTestStringConvertible, Sendable {
        let schema: String
        let allowed: [String]
        let forbidden: [(String, String)]
        init(_ schema: String, _ allowed: [String], _ forbidden: [(String, String)] = []) { (self.schema, self.allowed, self.forbidden) = (schema, allowed, forbidden) }
        var testDescription: String { schema }
    }

    static let cases: [Case] = [
        Case("true", ["1", "null", #"{"a":[]}"#]),
        Case("{}", ["1", "null"]),
        Case("false", [], [("1", ""), ("{}", "")]),
        Case(#"{"type":"null"}"#, ["null"], [("0", ""), ("false", ""), (#""""#, "")]),
        Case(#"{"type":"boolean"}"#, ["true", "false"], [("0", ""), (#""true""#, ""), ("null", "")]),
        Case(#"{"type":"integer"}"#, ["1", "-5", "1.0", "1e3", "123456789012345678901234567890"], [("1.5", ""), (#""1""#, ""), ("true", "")]),
        Case(#"{"type":"number"}"#, ["1", "1.5", "-0"], [(#""1""#, ""), ("null", "")]),
        Case(#"{"type":"string"}"#, [#""""#, #""a""#], [("1", ""), ("[]", "")]),
        Case(#"{"type":"array"}"#, ["[]", "[1]"], [("{}", ""), (#""[]""#, "")]),
        Case(#"{"type":"object"}"#, ["{}"], [("[]", ""), ("null", "")]),
        Case(#"{"type":["integer","null"]}"#, ["1", "null"], [("1.5", ""), ("false", "")]),
        Case(#"{"enum":["red","green",1]}"#, [#""red""#, "1", "1.0"], [(#""Red""#, ""), ("true", ""), ("2", ""), (#""1""#, "")]),
        Case(#"{"enum":[{"a":1,"b":2}]}"#, [#"{"b":2.0,"a":1}"#], [(#"{"a":1}"#, ""), (#"{"a":1,"b":2,"c":3}"#, "")]),
        Case(#"{"enum":[[1,2]]}"#, ["[1,2]"], [("[2,1]", ""), ("[1,2,3]", "")]),
        Case(#"{"const":0}"#, ["0", "0.0", "-0"], [("false", ""), ("null", ""), (#""""#, "")]),
        Case(#"{"const":"é"}"#, [#""é""#, #""\u00e9""#], [(#""e\u0301""#, "")]),
        Case(#"{"const":null}"#, ["null"], [("0", "")]),
        Case(#"{"enum":[1,2],"const":2}"#, ["2"], [("1", ""), ("3", "")]),
        Case(#"{"const":9007199254740993}"#, ["9007199254740993"], [("9007199254740992", "")]),
        Case(
            #"{"properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#, ["{}", #"{"a":1}"#, #"{"c":null}"#, "[]", "3"],
            [(#"{"a":"x"}"#, "/a"), (#"{"a":1,"b":2}"#, "/b")]),
        Case(#"{"required":["a","b"]}"#, [#"{"a":1,"b":null}"#, "1"], [(#"{"a":1}"#, ""), ("{}", "")]),
        Case(#"{"properties":{"a":true},"additionalProperties":false}"#, ["{}", #"{"a":1}"#], [(#"{"a":1,"b":2}"#, "/b"), (#"{"A":1}"#, "/A")]),
        Case(#"{"properties":{"a":true},"additionalProperties":{"type":"integer"}}"#, [#"{"a":"x","b":2}"#], [(#"{"b":"x"}"#, "/b")]),
        Case(#"{"additionalProperties":false}"#, ["{}", "[1]"], [(#"{"":1}"#, "/")]),
        Case(#"{"properties":{"a/b":{"type":"null"},"m~n":{"type":"null"}}}"#, [#"{"a/b":null}"#], [(#"{"a/b":1}"#, "/a~1b"), (#"{"m~n":1}"#, "/m~0n")]),
        Case(
            #"{"properties":{"type":{"type":"string"},"$ref":{"type":"integer"}}}"#, [#"{"type":"x","$ref":1}"#],
            [(#"{"type":1}"#, "/type"), (#"{"$ref":"x"}"#, "/$ref")]),
        Case(#"{"properties":{"a":false}}"#, ["{}"], [(#"{"a":1}"#, "/a")]),
        Case(#"{"properties":{"é":{"type":"integer"}}}"#, [#"{"é":1}"#], [(#"{"é":"x"}"#, "/é")]),
        Case(#"{"minProperties":1,"maxProperties":2}"#, [#"{"a":1}"#, #"{"a":1,"b":2}"#, "[]"], [("{}", ""), (#"{"a":1,"b":2,"c":3}"#, "")]),
        Case(#"{"items":{"type":"integer"}}"#, ["[]", "[1,2]", "{}"], [(#"[1,"x"]"#, "/1"), ("[null]", "/0")]),
        Case(#"{"items":false}"#, ["[]"], [("[1]", "/0")]),
        Case(#"{"prefixItems":[{"type":"integer"},{"type":"string"}]}"#, ["[]", "[1]", #"[1,"a"]"#, #"[1,"a",null]"#], [(#"["a"]"#, "/0"), ("[1,2]", "/1")]),
        Case(#"{"prefixItems":[{"type":"integer"}],"items":{"type":"string"}}"#, [#"[1,"a","b"]"#], [(#"[1,"a",2]"#, "/2")]),
        Case(#"{"prefixItems":[true,true],"items":false}"#, ["[1,2]"], [("[1,2,3]", "/2")]),
        Case(#"{"minItems":1}"#, ["[1]", "{}"], [("[]", "")]),
        Case(#"{"maxItems":1}"#, ["[]", "[1]"], [("[1,2]", "")]),
        Case(#"{"minItems":1.0}"#, ["[1]"], [("[]", "")]),
        Case(
            #"{"uniqueItems":true}"#, ["[]", "[1,2]", #"[1,"1"]"#, "[1,true]", "[0,false]", #"["\u00e9","e\u0301"]"#],
            [("[1,2,1]", "/2"), ("[1,1.0]", "/1"), (#"[{"a":1,"b":2},{"b":2,"a":1}]"#, "/1"), ("[[1],[1]]", "/1")]),
        Case(#"{"uniqueItems":false}"#, ["[1,1]"]),
        Case(#"{"minLength":2}"#, [#""ab""#, "1"], [(#""a""#, ""), (#""""#, "")]),
        Case(#"{"maxLength":2}"#, [#""ab""#, #""🙂🙂""#], [(#""abc""#, ""), (#""🙂🙂🙂""#, "")]),
        Case(#"{"maxLength":1}"#, [#""é""#], [(#""e\u0301""#, "")]),
        Case(#"{"pattern":"^[a-z]+$"}"#, [#""abc""#, "1"], [(#""aBc""#, ""), (#""""#, "")]),
        Case(#"{"pattern":"b"}"#, [#""abc""#], [(#""ac""#, "")]),
        Case(#"{"pattern":"^\\d{4}-\\d{2}$"}"#, [#""2024-05""#], [(#""24-05""#, ""), (#""2024-05-01""#, "")]),
        Case(#"{"pattern":"\\p{Lu}"}"#, [#""aÉ""#], [(#""aé""#, "")]),
        Case(#"{"minimum":1}"#, ["1", "1.0", "2", #""0""#], [("0", ""), ("0.999", ""), ("-5", "")]),
        Case(#"{"maximum":1.5}"#, ["1.5", "-3"], [("1.6", ""), ("2", "")]),
        Case(#"{"exclusiveMinimum":0}"#, ["0.001", "1"], [("0", ""), ("-0", ""), ("-1", "")]),
        Case(#"{"exclusiveMaximum":10}"#, ["9.99"], [("10", ""), ("10.0", "")]),
        Case(#"{"minimum":-2,"maximum":-1}"#, ["-1.5"], [("0", ""), ("-3", "")]),
        Case(#"{"minimum":9007199254740993}"#, ["9007199254740993"], [("9007199254740992", "")]),
        Case(#"{"multipleOf":3}"#, ["9", "0", "-6", "6.0"], [("10", ""), ("1.5", "")]),
        Case(#"{"multipleOf":0.1}"#, ["0.3", "0.7", "1", "4.1"], [("0.35", "")]),
        Case(#"{"multipleOf":0.01}"#, ["19.99", "4.35", "0.07"], [("0.075", "")]),
        Case(#"{"multipleOf":1e-3}"#, ["0.005"], [("0.0005", "")]),
        Case(#"{"multipleOf":2}"#, ["1e300"], [("9007199254740993", "")]),
        Case(#"{"anyOf":[{"type":"integer"},{"minLength":2}]}"#, ["1", #""ab""#, "1.5"], [(#""a""#, "")]),
        Case(#"{"anyOf":[{"type":"integer"},{"properties":{"a":{"const":1}},"required":["a"],"type":"object"}]}"#, ["1", #"{"a":1}"#], [(#"{"a":2}"#, ""), (#""x""#, "")]),
        Case(#"{"anyOf":[false,false]}"#, [], [("1", "")]),
        Case(#"{"oneOf":[{"multipleOf":2},{"multipleOf":3}]}"#, ["2", "9"], [("6", ""), ("5", "")]),
        Case(#"{"oneOf":[true]}"#, ["1"]),
        Case(#"{"allOf":[{"minimum":1},{"maximum":3}]}"#, ["2"], [("0", ""), ("4", "")]),
        Case(#"{"allOf":[{"properties":{"a":{"minimum":2}}}]}"#, [#"{"a":2}"#], [(#"{"a":1}"#, "/a")]),
        Case(#"{"not":{"type":"string"}}"#, ["1"], [(#""a""#, "")]),
        Case(#"{"not":{"not":{"type":"string"}}}"#, [#""a""#], [("1", "")]),
        Case(#"{"not":true}"#, [], [("1", "")]),
        Case(#"{"not":{"required":["a"]}}"#, ["{}", #"{"b":1}"#], [(#"{"a":1}"#, "")]),
        Case(##"{"$defs":{"n":{"type":"integer"}},"items":{"$ref":"#/$defs/n"}}"##, ["[1]"], [(#"["a"]"#, "/0")]),
        Case(##"{"definitions":{"n":{"type":"integer"}},"properties":{"a":{"$ref":"#/definitions/n"}}}"##, [#"{"a":1}"#], [(#"{"a":"x"}"#, "/a")]),
        Case(##"{"$ref":"#/$defs/n","maximum":5,"$defs":{"n":{"minimum":1}}}"##, ["3"], [("0", ""), ("6", "")]),
        Case(
            ##"{"properties":{"left":{"$ref":"#"},"value":{"type":"integer"}},"required":["value"],"additionalProperties":false}"##,
            [#"{"value":1,"left":{"value":2}}"#], [(#"{"value":1,"left":{"value":2,"left":{}}}"#, "/left/left"), (#"{"value":1,"left":{"value":"x"}}"#, "/left/value")]),
        Case(
            ##"{"$defs":{"a b":{"const":1},"c/d":{"const":2},"%":{"const":3}},"prefixItems":[{"$ref":"#/$defs/a%20b"},{"$ref":"#/$defs/c~1d"},{"$ref":"#/$defs/%25"}]}"##,
            ["[1,2,3]"], [("[1,2,1]", "/2"), ("[1,1]", "/1")]),
        Case(##"{"prefixItems":[{"const":1},{"$ref":"#/prefixItems/0"}]}"##, ["[1,1]"], [("[1,2]", "/1")]),
        Case(##"{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}],"$defs":{"a":{"items":{"$ref":"#"},"type":"array"}}}"##, ["null", "[null,[[null]]]"], [("[1]", "")]),
        Case(
            #"{"title":"t","description":"d","default":1,"examples":[1],"$comment":"c","deprecated":true,"readOnly":true,"writeOnly":false,"$schema":"https://json-schema.org/draft/2020-12/schema","x-order":3,"type":"integer"}"#,
            ["1"], [(#""a""#, "")]),
        Case(#"{"default":{"format":"anything"},"const":{"format":1}}"#, [#"{"format":1}"#], [("{}", "")]),
        Case(
            #"{"type":"object","properties":{"name":{"type":"string","minLength":1},"tags":{"type":"array","items":{"enum":["x","y"]},"uniqueItems":true,"maxItems":2}},"required":["name"],"additionalProperties":false}"#,
            [#"{"name":"n"}"#, #"{"name":"n","tags":["x","y"]}"#],
            [
                (#"{"name":""}"#, "/name"), (#"{"name":"n","tags":["z"]}"#, "/tags/0"), (#"{"name":"n","tags":["x","x"]}"#, "/tags/1"),
                (#"{"name":"n","tag":[]}"#, "/tag"), (#"{"tags":[]}"#, ""),
            ]),
    ]

    @Test("values are allowed, or forbidden at the place that fails", arguments: cases)
    func table(test: Case) throws {
        let schema = try JSONSchema(parsing: test.schema)
        for value in test.allowed { #expect(schema.check(try JSON.parse(value, source: "value")) == .valid, "\(value)") }
        for (value, pointer) in test.forbidden {
            guard case .violated(let violation) = schema.check(try JSON.parse(value, source: "value")) else {
                Issue.record("\(value) is allowed")
                continue
            }
            #expect(violation.pointer == pointer, "\(value): \(violation)")
        }
    }

    @Test("the table has 200 values or more")
    func size() { #expect(Self.cases.reduce(0) { $0 + $1.allowed.count + $1.forbidden.count } >= 200) }

    @Test(
        "what is not understood is refused by name, with its place",
        arguments: [
            (#"{"patternProperties":{}}"#, "'#': the keyword 'patternProperties'"), (#"{"format":"date"}"#, "the keyword 'format' is not understood"),
            (#"{"propertie":{}}"#, "did you mean 'properties'?"),
            (#"{"properties":{"a":{"if":true}}}"#, "at '#/properties/a': the keyword 'if'"), (#"{"items":[true]}"#, "at '#/items': a schema is an object"),
            (#"{"type":"int"}"#, "'type' must be a type or a list of types"),
            (#"{"type":[]}"#, "'type' must be"), (#"{"enum":[]}"#, "'enum' must be a list of values"),
            (#"{"required":"a"}"#, "'required' must be a list of different texts"), (#"{"required":["a","a"]}"#, "'required' must be"),
            (#"{"minLength":-1}"#, "'minLength' must be a whole number"), (#"{"minLength":1.5}"#, "'minLength' must be"),
            (#"{"multipleOf":0}"#, "'multipleOf' must be a number above 0"), (#"{"exclusiveMinimum":true}"#, "'exclusiveMinimum' must be a number"),
            (#"{"pattern":"("}"#, "is no regular expression"), (#"{"anyOf":[]}"#, "'anyOf' must be a list of schemas"),
            (#"{"not":3}"#, "at '#/not': a schema is an object"), (#"{"$ref":"https://example.org"}"#, "'$ref' must be a text that begins with '#'"),
            (##"{"$ref":"#/$defs/x"}"##, "refers to nothing within this schema"), (##"{"$ref":"#name"}"##, "refers to nothing"),
            (##"{"$ref":"#/default","default":{"typ":1}}"##, "at '#/default': the keyword 'typ'"), ("[]", "at '#': a schema is an object"),
            (#"{"$defs":{"unused":{"contains":1}}}"#, "the keyword 'contains'"), (#"{"uniqueItems":1}"#, "'uniqueItems' must be true or false"),
            (#"{"$id":"x"}"#, "the keyword '$id'"), (#"{"dependentRequired":{}}"#, "'dependentRequired'"),
        ])
    func refused(schema: String, message: String) {
        let found = taskError { _ = try JSONSchema(parsing: schema) }
        #expect(found.contains(message), "\(found)")
    }

    @Test("schemas and values that would take for ever are given up")
    func hostile() throws {
        func gaveUp(_ schema: String, _ value: String) throws -> String {
            guard case .gaveUp(let reason) = try JSONSchema(parsing: schema).check(JSON.parse(value, source: "value")) else { return "finished" }
            return reason
        }
        #expect(try gaveUp(##"{"$ref":"#"}"##, "1").contains("256 levels deep"))
        #expect(try gaveUp(##"{"allOf":[{"$ref":"#/$defs/b"}],"$defs":{"b":{"not":{"$ref":"#"}}}}"##, "1").contains("256 levels deep"))
        let nested = String(repeating: "[", count: 30) + String(repeating: "]", count: 30)
        #expect(try gaveUp(##"{"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}"##, nested).contains("too many steps"))
        #expect(try gaveUp(#"{"pattern":"^(a+)+$"}"#, "\"\(String(repeating: "a", count: 50))!\"").contains("backtracks too long"))
        #expect(try gaveUp(#"{"uniqueItems":true,"items":{"type":"integer"}}"#, "[\((0..<50000).map(String.init).joined(separator: ","))]") == "finished")
        #expect(
            try gaveUp(
                "{\"allOf\":[\(Array(repeating: #"{"uniqueItems":true}"#, count: 50).joined(separator: ","))]}",
                "[\((0..<50000).map(String.init).joined(separator: ","))]"
            ).contains("too many steps"))
    }

    // MARK: - The verifier

    private let verifier = SchemaVerifier(try! JSONSchema(parsing: #"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}"#))
    private let problem = Problem(id: "q", question: "?")

    @Test(
        "a completion is JSON, alone or in its only fence",
        arguments: [
            (#"{"a":1}"#, Verdict.Outcome.right), (" \n{\"a\": 1}\n", .right), ("```json\n{\"a\":1}\n```", .right), ("```\n{\"a\":1}\n```", .right),
            ("Here it is:\n```json\n{\"a\":1}\n```\nDone.", .right), ("```json\r\n{\"a\":1}\r\n```", .right),
            (#"{"a":"x"}"#, .wrong), ("{}", .wrong), ("[]", .wrong), ("```json\n{}\n```", .wrong), ("", .unreadable), ("a: 1", .unreadable),
            (#"{"a":1,}"#, .unreadable), (#"{"a":1} {"a":1}"#, .unreadable), (#"{"a":1,"a":1}"#, .unreadable),
            ("```json\n{\"a\":1}", .unreadable), ("```json\n{\"a\":1}\n```\n```json\n{\"a\":1}\n```", .unreadable), (#"The answer is {"a":1}"#, .unreadable),
            ("{'a':1}", .unreadable), (#"{"a":NaN}"#, .unreadable),
        ])
    func completions(text: String, outcome: Verdict.Outcome) async throws {
        let found = try await verdict(verifier, problem, text)
        #expect(found.outcome == outcome, "\(found.evidence)")
    }

    @Test("evidence names the pointer; nesting without end is unreadable; cut off is cut off")
    func evidence() async throws {
        #expect(try await verdict(verifier, problem, #"{"a":"x"}"#).evidence == "/a: is a string, must be integer")
        #expect(try await verdict(verifier, problem, "{}").evidence == "the whole value: has no member 'a'")
        #expect(try await verdict(verifier, problem, String(repeating: "[", count: 100_000)).outcome == .unreadable)
        #expect(try await verdict(verifier, problem, #"{"a":1}"#, finish: .length).outcome == .cutOff)
    }

    @Test("a problem brings its own schema; without one, or with a broken one, it is not judged")
    func own() async throws {
        let own = Problem(id: "q", question: "?", details: ["schema": #"{"type":"array"}"#])
        #expect(try await verdict(SchemaVerifier(), own, "[]").outcome == .right)
        #expect(try await verdict(SchemaVerifier(), own, "{}").outcome == .wrong)
        #expect(await SchemaVerifier().judge([rollout(problem, "[]")]) == [.failed(reason: "problem 'q' has no schema in its details")])
        for broken in ["{", #"{"typ":1}"#] {
            guard case .failed(let reason) = await SchemaVerifier().judge([rollout(Problem(id: "q", question: "?", details: ["schema": broken]), "[]")])[0] else {
                Issue.record("a broken schema judged")
                continue
            }
            #expect(reason.hasPrefix("problem 'q': "))
        }
    }
}
