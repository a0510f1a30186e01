/// Filters for texts, their layout and their escaping.
extension TemplateFilters {
    // MARK: Texts

    static let texts: [String: TemplateOperation] = [
        "upper": { value, _, budget in .string(try value.printed(budget).uppercased) },
        "lower": { value, _, budget in .string(try value.printed(budget).lowercased) },
        "capitalize": { value, _, budget in .string(try value.printed(budget).capitalized) },
        "title": { value, _, budget in
            // A word starts behind white space, a hyphen or an opening bracket.
            let text = try value.printed(budget)
            let separators: Set<Unicode.Scalar> = ["-", "(", "{", "[", "<"]
            var (scalars, startsWord) = ([Unicode.Scalar](), true)
            for scalar in text.scalars {
                scalars += (startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping).unicodeScalars
                startsWord = scalar.isTemplateSpace || separators.contains(scalar)
            }
            return .string(TemplateText(scalars))
        },
        "trim": { value, arguments, budget in .string(try value.printed(budget).stripped(arguments.takeTextUnlessNone("chars"))) },
        "replace": { value, arguments, budget in
            let text = try value.printed(budget)
            let (old, new) = try (arguments.takeRequired("old").printed(budget), arguments.takeRequired("new").printed(budget))
            let count = try arguments.takeUnlessNone("count").map { value in
                guard let count = value.integer else { throw TemplateProblem.refused("'count' must be a whole number, not '\(value.typeName)'") }
                return Int(clamping: count)
            }
            var plain = text
            plain.isSafe = false
            return .string(try TemplateMethods.replaced(plain, old, new, count: count ?? -1, budget))
        },
        "format": { value, arguments, budget in
            guard arguments.positional.isEmpty || arguments.named.isEmpty else { throw TemplateProblem.refused("format with values by place and by name") }
            let values: TemplateValue =
                arguments.named.isEmpty
                ? .tuple(try TemplateList(arguments.positional))
                : .dictionary(try TemplateDictionary(arguments.named.map { (.text($0.name), $0.value) }, budget))
            arguments = TemplateArguments()
            return .string(try TemplateFormatting.percent(value.printed(budget), values, budget))
        },
        "string": { value, _, budget in .string(try value.printed(budget)) },
        "wordcount": { value, _, budget in
            var (count, inWord) = (0, false)
            for scalar in try value.printed(budget).scalars {
                if scalar.isWord, !inWord { count += 1 }
                inWord = scalar.isWord
            }
            return .whole(count)
        },
        "join": { value, arguments, budget in
            let separator = try arguments.take("d")?.printed(budget) ?? ""
            let attribute = arguments.takeUnlessNone("attribute")
            let attributeOf = try attribute.map { try getter($0, budget) }
            let parts = try value.items(budget).map { item in try (attributeOf.map { try $0(item) } ?? item).printed(budget) }
            try budget.spend(bytes: parts.reduce(0) { $0 + $1.utf8.count + separator.utf8.count })
            return .string(TemplateText(utf8: TemplateText(utf8: separator.utf8).joined(parts).utf8))
        },
    ]

    static let layout: [String: TemplateOperation] = [
        "center": { value, arguments, budget in
            let width = TemplateValue.whole(try arguments.takeInteger("width", otherwise: 80))
            return try TemplateMethods.call("center", of: .string(value.printed(budget)), TemplateArguments(positional: [width]), budget)
        },
        "indent": { value, arguments, budget in
            guard let text = value.text else { throw refused(value, "indent") }
            let width = arguments.take("width") ?? .integer(4)
            let indentation: TemplateText
            if let text = width.text {
                indentation = text
            } else {
                guard case .string(let blanks) = try TemplateOperators.arithmetic("*", .text(" "), width, budget) else { throw refused(width, "a width") }
                indentation = blanks
            }
            let (first, blank) = (arguments.takeBool("first"), arguments.takeBool("blank"))
            let lines = (text + "\n").lines()
            try budget.spend(bytes: lines.count * (indentation.utf8.count + 1) + text.utf8.count)
            var bytes: [UInt8] = first ? indentation.utf8 : []
            for (index, line) in lines.enumerated() {
                if index > 0 {
                    bytes.append(10)
                    if blank || !line.isEmpty { bytes += indentation.utf8 }
                }
                bytes += line.utf8
            }
            return .string(text.like(bytes))
        },
        "truncate": { value, arguments, budget in
            guard let text = value.text else { throw refused(value, "truncate") }
            let length = try arguments.takeInteger("length", otherwise: 255)
            let killsWords = arguments.takeBool("killwords")
            let end = try arguments.positional.isEmpty && !arguments.named.contains { $0.name == "end" } ? "..." : arguments.takeText("end")
            let leeway = try arguments.takeUnlessNone("leeway").map { value in
                guard let leeway = value.integer else { throw refused(value, "a leeway") }
                return Int(clamping: leeway)
            }
            guard length >= end.count, leeway ?? 5 >= 0 else { throw TemplateProblem.refused("truncate to \(length), which is shorter than '\(end.string)'") }
            let count = text.count
            if count <= length || count - length <= leeway ?? 5 { return value }
            let kept = text.slice(0..<(length - end.count))
            return .string((killsWords ? kept : kept.splitFromEnd(on: " ", limit: 1)[0]) + end)
        },
        "wordwrap": { value, arguments, budget in
            guard let text = value.text else { throw refused(value, "wordwrap") }
            let width = try arguments.takeInteger("width", otherwise: 79)
            let breaksWords = arguments.take("break_long_words")?.isTrue ?? true
            let mark = try arguments.takeTextUnlessNone("wrapstring") ?? "\n"
            let breaksHyphens = arguments.take("break_on_hyphens")?.isTrue ?? true
            guard width > 0 else { throw TemplateProblem.refused("wordwrap to a width of \(width)") }
            let lines = text.lines().map { mark.joined(wrapped($0, width: width, breaksWords: breaksWords, breaksHyphens: breaksHyphens)) }
            try budget.spend(bytes: lines.reduce(0) { $0 + $1.utf8.count + mark.utf8.count })
            return .string(mark.joined(lines))
        },
        "pprint": { value, _, budget in .string(try pretty(value, indentation: 0, reserved: 0, budget)) },
        "filesizeformat": { value, arguments, budget in
            let isBinary = arguments.takeBool("binary")
            guard let size = try float(value, budget) else { throw refused(value, "filesizeformat") }
            let base = isBinary ? 1024.0 : 1000.0
            if size == 1 { return .text("1 Byte") }
            if size < base { return .text("\(try TemplateFormatting.whole(size)) Bytes") }
            var unit = base
            for prefix in "kMGTPEZY" {
                unit *= base
                if size < unit || prefix == "Y" {
                    return .text("\(TemplateFormatting.fixed(base * size / unit, digits: 1)) \(isBinary ? prefix.uppercased() + "i" : String(prefix))B")
                }
            }
            return .none
        },
    ]

    /// Lines of at most `width` scalars, broken at white space, which is dropped there.
    private static func wrapped(_ line: TemplateText, width: Int, breaksWords: Bool, breaksHyphens: Bool) -> [TemplateText] {
        var chunks: [[Unicode.Scalar]] = []
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || 9...13 ~= scalar.value }
        let scalars = Array(line.scalars)
        var start = 0
        for place in scalars.indices {
            let isLast = place + 1 == scalars.count
            let ends =
                isLast || isBlank(scalars[place]) != isBlank(scalars[place + 1])
                || breaksHyphens && scalars[place] == "-" && place - start >= 2 && scalars[place - 1].isLetter && place + 2 < scalars.count
                    && scalars[place + 1].isWord && scalars[place + 2].isLetter
            if ends {
                chunks.append(Array(scalars[start...place]))
                start = place + 1
            }
        }
        chunks.reverse()
        var lines: [TemplateText] = []
        while !chunks.isEmpty {
            if !lines.isEmpty, chunks.last!.allSatisfy(isBlank) { chunks.removeLast() }
            var current: [[Unicode.Scalar]] = []
            var length = 0
            while let next = chunks.last, length + next.count <= width {
                current.append(next)
                length += next.count
                chunks.removeLast()
            }
            if let long = chunks.last, long.count > width {
                if breaksWords {
                    var end = width - length
                    if breaksHyphens, let hyphen = long[..<end].lastIndex(of: "-"), hyphen > 0, long[..<hyphen].contains(where: { $0 != "-" }) { end = hyphen + 1 }
                    current.append(Array(long[..<end]))
                    chunks[chunks.count - 1] = Array(long[end...])
                } else if current.isEmpty {
                    current.append(chunks.removeLast())
                }
            }
            if let last = current.last, last.allSatisfy(isBlank) { current.removeLast() }
            if !current.isEmpty { lines.append(line.like(current.joined())) }
        }
        return lines
    }

    /// In one line of 80 columns, or with one item to a line; the keys of dictionaries sorted.
    private static func pretty(_ value: TemplateValue, indentation: Int, reserved: Int, _ budget: TemplateBudget) throws -> TemplateText {
        func sorted(_ value: TemplateValue) throws -> TemplateValue {
            try budget.spend()
            switch value {
            case .dictionary(let dictionary):
                let members = try dictionary.members.map { (key: $0.key, value: try sorted($0.value)) }
                return .dictionary(try TemplateDictionary((try? members.sorted { try $0.key.isLess(than: $1.key, budget) }) ?? members, budget))
            case .list(let list): return .list(try TemplateList(list.items.map(sorted)))
            case .tuple(let list): return .tuple(try TemplateList(list.items.map(sorted)))
            default: return value
            }
        }
        let value = try sorted(value)
        let flat = try value.quoted(budget)
        if flat.count <= 80 - indentation - reserved { return flat }
        var (parts, open, close): ([TemplateText], TemplateText, TemplateText)
        switch value {
        case .dictionary(let dictionary):
            (open, close) = ("{", "}")
            parts = try dictionary.members.enumerated().map { index, member in
                let key = try member.key.quoted(budget) + ": "
                let isLast = index + 1 == dictionary.count
                return try key + pretty(member.value, indentation: indentation + 1 + key.count, reserved: isLast ? reserved + 1 : 1, budget)
            }
        case .list(let list), .tuple(let list):
            (open, close) = if case .list = value { ("[", "]") } else { ("(", list.items.count == 1 ? ",)" : ")") }
            parts = try list.items.enumerated().map { index, item in
                try pretty(item, indentation: indentation + 1, reserved: index + 1 == list.items.count ? reserved + 1 : 1, budget)
            }
        default: return flat
        }
        try budget.spend(bytes: parts.count * indentation)
        return open + (TemplateText(",\n" + String(repeating: " ", count: indentation + 1))).joined(parts) + close
    }

    // MARK: HTML and addresses

    static let html: [String: TemplateOperation] = [
        "e": { value, _, budget in .string(try value.printed(budget).escaped) },
        "escape": { value, _, budget in .string(try value.printed(budget).escaped) },
        "forceescape": { value, _, budget in .string(TemplateText(utf8: try value.printed(budget).utf8).escaped) },
        "safe": { value, _, budget in .string(TemplateText(utf8: try value.printed(budget).utf8, isSafe: true)) },
        "striptags": { value, _, budget in
            var (kept, rest) = ([UInt8](), try value.printed(budget).utf8[...])
            while let start = rest.firstIndex(of: UInt8(ascii: "<")) {
                kept += rest[..<start]
                let isComment = rest[start...].starts(with: "<!--".utf8)
                let tail = TemplateText(utf8: rest[start...])
                guard let end = tail.places(of: isComment ? "-->" : ">", limit: 1).first else {
                    kept.append(rest[start])
                    rest = rest[(start + 1)...]
                    if isComment || !rest.contains(UInt8(ascii: ">")) { break }
                    continue
                }
                rest = rest[(start + end + (isComment ? 3 : 1))...]
            }
            kept += rest
            var text = TemplateText(" ").joined(TemplateText(utf8: kept).words())
            for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&quot;", "\""), ("&amp;", "&")] as [(TemplateText, TemplateText)] {
                text = text.replacing(entity, with: character)
            }
            return .string(text)
        },
        "xmlattr": { value, arguments, budget in
            let hasSpace = arguments.take("autospace")?.isTrue ?? true
            guard case .dictionary(let dictionary) = value else { throw refused(value, "xmlattr") }
            let parts = try dictionary.members.filter { !$0.value.isNone && !$0.value.isUndefined }.map { member in
                guard let key = member.key.text, !key.scalars.contains(where: { $0.isTemplateSpace || ["/", ">", "="].contains($0) }) else {
                    throw TemplateProblem.refused("'\(try member.key.printed(budget).string)' cannot be the name of an attribute")
                }
                return TemplateText(utf8: key.escaped.utf8 + "=\"".utf8 + (try member.value.printed(budget).escaped.utf8) + "\"".utf8)
            }
            return .string(TemplateText(hasSpace && !parts.isEmpty ? " " : "") + TemplateText(" ").joined(parts))
        },
        "urlencode": { value, _, budget in
            func encoded(_ value: TemplateValue, isQuery: Bool) throws -> [UInt8] {
                try value.printed(budget).utf8.flatMap { byte -> [UInt8] in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                        UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "~"):
                        return [byte]
                    case UInt8(ascii: "/") where !isQuery: return [byte]
                    case UInt8(ascii: " ") where isQuery: return [UInt8(ascii: "+")]
                    default: return Array("%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))".utf8)
                    }
                }
            }
            let pairs: [TemplateValue]
            switch value {
            case .dictionary(let dictionary): pairs = try dictionary.pairs()
            case .list, .tuple, .view, .iterator, .undefined: pairs = try value.items(budget)
            default: return .string(TemplateText(utf8: try encoded(value, isQuery: false)))
            }
            let parts = try pairs.map { pair in
                let items = try pair.items(budget)
                guard items.count == 2 else { throw TemplateProblem.refused("urlencode of something that is not pairs") }
                return TemplateText(utf8: try encoded(items[0], isQuery: true) + [UInt8(ascii: "=")] + encoded(items[1], isQuery: true))
            }
            return .string(TemplateText("&").joined(parts))
        },
    ]
}
