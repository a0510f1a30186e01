import Foundation
import ModelFiles
import Testing

@Suite("JSON is read strictly and written so that it reads back")
struct JSONTests {
    func parse(_ text: String) throws -> JSON { try JSON.parse(text, source: "test") }

    @Test("every kind of value survives a round trip", arguments: [false, true])
    func roundTrip(pretty: Bool) throws {
        let value: JSON = [
            "null": .null, "truth": true, "lies": false, "whole": -12, "large": .integer(.max), "small": .integer(.min),
            "tenth": 0.1, "tiny": .number(.leastNonzeroMagnitude), "huge": 1.7976931348623157e308, "one": 1.0, "minus zero": .number(-0.0),
            "text": "a\"b\\c\n\t\r\u{8}\u{c}\u{1}\u{7f} ключ 🙂", "": [], "empty": [:],
            "list": [1, 2.5, ["deep": [.null]]],
        ]
        let text = value.text(pretty: pretty)
        #expect(try parse(text) == value)
        #expect(try parse(text).text(pretty: pretty) == text)
        #expect(text.contains("\n") == pretty)
    }

    @Test("random doubles keep every bit")
    func doubles() throws {
        var generator = SplitMix64(state: 3)
        for _ in 0..<2000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            #expect(try parse(JSON.number(value).text()).double?.bitPattern == value.bitPattern)
            let short = (Double.random(in: -1000...1000, using: &generator) * 1e6).rounded() / 1e6
            #expect(try parse("\(short)").double == short)
        }
        #expect(JSON.number(.nan).text() == "null")
    }

    @Test("numbers keep their kind: whole ones are integers as long as they fit")
    func numbers() throws {
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("-9223372036854775808") == .integer(.min))
        #expect(try parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try parse("1000000000000000019884624838656") == .number(1e30))
        #expect(try parse("1e5") == .number(100_000))
        #expect(try parse("1.0").int == nil)
        #expect(try parse("0.1e-6") == .number(1e-7))
        #expect(try parse("-0").double?.sign == .minus)
        #expect(try parse("1e-999") == .number(0))
    }

    @Test(
        "what RFC 8259 does not allow is refused",
        arguments: [
            "", " ", "{", "[", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "nul",
            "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1", "\"", "\"\\", "\"\\x\"", "\"\\u12\"",
            "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "1 2", "{} x", "1e999", "-1e999", "\u{feff}{}",
            "[1]]", "// 1", "tru", "True",
        ])
    func refused(text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test("bytes that are not UTF-8 are refused where they stand")
    func utf8() throws {
        for bad: [UInt8] in [[0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82]] {
            let bytes = Array("[\n \"aaaaaaaaaaaaa".utf8) + bad + Array("\"]".utf8)
            let error = #expect(throws: JSONError.self) { try JSON.parse(bytes, source: "t.json") }
            #expect(error?.line == 2 && error?.column == 16 && error?.problem.contains("UTF-8") == true)
        }
    }

    @Test("an error names source, line and column")
    func place() {
        let error = #expect(throws: JSONError.self) { try JSON.parse("{\n  \"é\": flase\n}", source: "config.json") }
        #expect(error?.description.hasPrefix("config.json, line 2, column 8: ") == true)
    }

    @Test("nesting is limited to 128 levels")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(128))
        #expect(throws: JSONError.self) { try parse(nested(129)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "{\"a\":", count: 50_000)) }
    }

    @Test("a key that stands twice is refused, in small objects and in large ones", arguments: [2, 15, 16, 17, 40])
    func duplicates(count: Int) throws {
        let distinct = (0..<count - 1).map { "\"k\($0)\":\($0)" }
        _ = try parse("{\((distinct + ["\"k\":0"]).joined(separator: ","))}")
        for duplicate in [0, count - 2] {
            let text = "{\((distinct + ["\"k\(duplicate)\":0"]).joined(separator: ","))}"
            let error = #expect(throws: JSONError.self) { try parse(text) }
            #expect(error?.problem.contains("'k\(duplicate)'") == true)
        }
        #expect(throws: JSONError.self) { try parse(#"{"a":1,"\u0061":2}"#) }
    }

    @Test("canonically equivalent keys are different keys", arguments: [0, 20])
    func canonicalEquivalence(others: Int) throws {
        let (composed, decomposed) = ("\u{e9}", "e\u{301}")
        #expect(composed == decomposed)
        let rest = (0..<others).map { ",\"k\($0)\":0" }.joined()
        let object = try #require(try parse("{\"\(composed)\":1,\"\(decomposed)\":2\(rest)}").object)
        #expect(object[composed]?.int == 1)
        #expect(object[decomposed]?.int == 2)
        #expect(object["e"] == nil)
        #expect(JSON.string(composed) != JSON.string(decomposed))
    }

    @Test("members keep their order and can be set and removed", arguments: [3, 15, 16, 30])
    func editing(count: Int) {
        var object = JSONObject()
        for i in 0..<count { object["k\(i)"] = .integer(Int64(i)) }
        object["k1"] = "changed"
        object["k0"] = nil
        #expect(object.keys == (1..<count).map { "k\($0)" })
        #expect(object["k0"] == nil && object["k1"] == "changed" && object["k\(count - 1)"]?.int == count - 1)
    }

    @Test("escapes are resolved, surrogate pairs included")
    func escapes() throws {
        #expect(try parse(#""\u0120\ud83d\ude42\/\b\f\n\r\t\"\\""#) == "\u{120}🙂/\u{8}\u{c}\n\r\t\"\\")
    }

    @Test("random changes to a text never crash the parser")
    func fuzz() throws {
        let text = Array(#"{"a":[1,-2.5e3,true,null,"é\u00e9\n"],"b":{"c":{},"d":[[]]},"e":"🙂"}"#.utf8)
        var generator = SplitMix64(state: 11)
        for _ in 0..<4000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
            do {
                let value = try JSON.parse(bytes, source: "fuzz")
                #expect(try JSON.parse(value.text(), source: "fuzz") == value)
            } catch { #expect(error is JSONError) }
        }
    }
}
