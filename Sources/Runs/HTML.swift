/// Text made safe for a page.
enum HTML {
    /// For element content and quoted attributes, in HTML and in XML. Control characters, which neither allows, show as pictures.
    static func escaped(_ text: String) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped.append(contentsOf: "&amp;".unicodeScalars)
            case "<": escaped.append(contentsOf: "&lt;".unicodeScalars)
            case ">": escaped.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": escaped.append(contentsOf: "&quot;".unicodeScalars)
            case "'": escaped.append(contentsOf: "&#39;".unicodeScalars)
            case "\n", "\t": escaped.append(scalar)
            case "\u{0}"..<" ": escaped.append(Unicode.Scalar(0x2400 + scalar.value)!)
            case "\u{7F}": escaped.append("\u{2421}")
            case "\u{80}"..<"\u{A0}", "\u{FFFE}", "\u{FFFF}": escaped.append("\u{FFFD}")
            // Would turn what follows around on the page.
            case "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}": escaped.append("\u{FFFD}")
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }

    static func cell(_ content: String, header: Bool = false, class name: String = "") -> String {
        let tag = header ? "th" : "td"
        return "<\(tag)\(name.isEmpty ? "" : " class=\"\(name)\"")>\(content)</\(tag)>"
    }

    /// - Parameters:
    ///   - header: plain text.
    ///   - rows: HTML, the first cell of a row heading it.
    static func table(_ header: [String], _ rows: [[String]], class name: String = "") -> String {
        var html = "<div class=\"wide\"><table\(name.isEmpty ? "" : " class=\"\(name)\"")>\n<thead><tr>"
        html += header.map { cell(escaped($0), header: true) }.joined() + "</tr></thead>\n<tbody>\n"
        for row in rows {
            html += "<tr>" + row.enumerated().map { cell($1, header: $0 == 0) }.joined() + "</tr>\n"
        }
        return html + "</tbody></table></div>\n"
    }
}
