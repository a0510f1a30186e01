import Foundation

/// Curves as a piece of SVG: axes, ticks, legend, title; equal values give equal text.
///
/// Lines and letters take the page's own color (`currentColor`), so one drawing serves light and dark pages.
public struct Plot: Equatable, Sendable {
    public struct Point: Equatable, Sendable {
        public var x: Double
        public var y: Double
        /// An interval around `y`.
        public var low: Double?
        public var high: Double?

        public init(x: Double, y: Double, low: Double? = nil, high: Double? = nil) {
            self.x = x
            self.y = y
            self.low = low
            self.high = high
        }
    }

    public struct Series: Equatable, Sendable {
        public var name: String
        public var points: [Point]

        public init(_ name: String, _ points: [Point]) {
            self.name = name
            self.points = points
        }
    }

    public var title: String
    public var xLabel: String
    public var yLabel: String
    /// Values are shares of one: the axis shows all from 0 to 100 %.
    public var isShare: Bool
    /// Points that are not finite are left out; more than `mostPoints` are averaged, neighbours with neighbours.
    public var series: [Series]

    public init(title: String, xLabel: String, yLabel: String = "", isShare: Bool = false, series: [Series]) {
        self.title = title
        self.xLabel = xLabel
        self.yLabel = yLabel
        self.isShare = isShare
        self.series = series
    }

    public static let mostPoints = 400

    public func svg() -> String {
        let drawn = series.map { Series($0.name, Self.thinned($0.points.filter { $0.x.isFinite && $0.y.isFinite })) }.filter { !$0.points.isEmpty }
        let legend = drawn.count > 1 || drawn.first?.name.isEmpty == false ? legendPlaces(drawn.map(\.name)) : []
        let height = Self.height + (legend.last.map { $0.row + 1 } ?? 0) * Self.legendRow
        var svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" viewBox=\"0 0 \(Self.width) \(height)\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n"
        svg += "<title>\(HTML.escaped(title))</title>\n"
        svg += label(title, x: Double(Self.left), y: 20, extra: " font-weight=\"600\" font-size=\"15\"")
        if drawn.isEmpty {
            svg += label("no data yet", x: Double(Self.width) / 2, y: Double(Self.height) / 2, anchor: "middle", extra: " opacity=\"0.6\"")
        } else {
            svg += curves(drawn)
            for (index, place) in legend.enumerated() {
                let y = Double(Self.height + place.row * Self.legendRow + 10)
                svg += "<rect x=\"\(Self.coordinate(place.x))\" y=\"\(Self.coordinate(y - 9))\" width=\"12\" height=\"10\" rx=\"2\" fill=\"\(Self.color(index))\"/>\n"
                svg += label(Self.short(drawn[index].name), x: place.x + 17, y: y)
            }
        }
        return svg + "</svg>\n"
    }

    // MARK: - Layout

    private static let (width, height) = (640, 300)
    private static let (left, right, top, bottom) = (62, 14, 34, 46)
    private static let legendRow = 20

    /// Readable on white and on black.
    private static let colors = ["#2f7fd0", "#d9730d", "#2e9e63", "#c2416b", "#8b62e0", "#0e94a5", "#a07a10", "#7a828e"]

    private static func color(_ index: Int) -> String { colors[index % colors.count] }

    private func curves(_ drawn: [Series]) -> String {
        let points = drawn.flatMap(\.points)
        let xs = Axis(points.map(\.x), whole: points.allSatisfy { $0.x == $0.x.rounded() }, padded: false)
        let ys =
            isShare
            ? Axis(low: 0, high: 1, step: 0.2)
            : Axis(points.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] }.filter(\.isFinite), whole: false, padded: true)
        let (x0, x1) = (Double(Self.left), Double(Self.width - Self.right))
        let (y0, y1) = (Double(Self.height - Self.bottom), Double(Self.top))
        func x(_ value: Double) -> String { Self.coordinate(x0 + xs.place(value) * (x1 - x0)) }
        func y(_ value: Double) -> String { Self.coordinate(y0 + min(1, max(0, ys.place(value))) * (y1 - y0)) }

        var svg = ""
        for tick in ys.ticks {
            svg += "<line x1=\"\(Self.coordinate(x0))\" x2=\"\(Self.coordinate(x1))\" y1=\"\(y(tick))\" y2=\"\(y(tick))\" stroke=\"currentColor\" stroke-opacity=\"0.15\"/>\n"
            svg += "<text x=\"\(Self.coordinate(x0 - 6))\" y=\"\(y(tick))\" dy=\"4\" text-anchor=\"end\" fill=\"currentColor\">\(isShare ? Self.percent(tick) : ys.text(tick))</text>\n"
        }
        for tick in xs.ticks {
            svg += "<line x1=\"\(x(tick))\" x2=\"\(x(tick))\" y1=\"\(Self.coordinate(y0))\" y2=\"\(Self.coordinate(y0 + 4))\" stroke=\"currentColor\"/>\n"
            svg += "<text x=\"\(x(tick))\" y=\"\(Self.coordinate(y0 + 18))\" text-anchor=\"middle\" fill=\"currentColor\">\(xs.text(tick))</text>\n"
        }
        svg += "<path d=\"M\(Self.coordinate(x0)) \(Self.coordinate(y1))V\(Self.coordinate(y0))H\(Self.coordinate(x1))\" fill=\"none\" stroke=\"currentColor\"/>\n"
        svg += label(xLabel, x: (x0 + x1) / 2, y: y0 + 36, anchor: "middle")
        if !yLabel.isEmpty { svg += label(yLabel, x: x1, y: 20, anchor: "end", extra: " opacity=\"0.7\"") }

        for (index, one) in drawn.enumerated() {
            let color = Self.color(index)
            for point in one.points {
                guard let low = point.low, let high = point.high, low.isFinite, high.isFinite else { continue }
                svg += "<line x1=\"\(x(point.x))\" x2=\"\(x(point.x))\" y1=\"\(y(low))\" y2=\"\(y(high))\" stroke=\"\(color)\" stroke-opacity=\"0.55\" stroke-width=\"2\"/>\n"
            }
            if one.points.count > 1 {
                svg += "<polyline fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.8\" points=\"\(one.points.map { "\(x($0.x)),\(y($0.y))" }.joined(separator: " "))\"/>\n"
            }
            if one.points.count <= 40 {
                for point in one.points { svg += "<circle cx=\"\(x(point.x))\" cy=\"\(y(point.y))\" r=\"3\" fill=\"\(color)\"/>\n" }
            }
        }
        return svg
    }

    private func label(_ text: String, x: Double, y: Double, anchor: String = "start", extra: String = "") -> String {
        "<text x=\"\(Self.coordinate(x))\" y=\"\(Self.coordinate(y))\" text-anchor=\"\(anchor)\" fill=\"currentColor\"\(extra)>\(HTML.escaped(text))</text>\n"
    }

    /// Row by row, by an estimate of the names' widths.
    private func legendPlaces(_ names: [String]) -> [(x: Double, row: Int)] {
        var places: [(x: Double, row: Int)] = []
        var (x, row) = (Double(Self.left), 0)
        for name in names {
            let width = 34 + 7.2 * Double(Self.short(name).count)
            if x > Double(Self.left), x + width > Double(Self.width) {
                x = Double(Self.left)
                row += 1
            }
            places.append((x, row))
            x += width
        }
        return places
    }

    private static func short(_ name: String) -> String { name.count > 32 ? name.prefix(31) + "…" : name }

    /// Averages of neighbours, when there are more points than can be told apart.
    private static func thinned(_ points: [Point]) -> [Point] {
        guard points.count > mostPoints else { return points }
        return (0..<mostPoints).map { index in
            let bucket = points[index * points.count / mostPoints..<(index + 1) * points.count / mostPoints]
            return Point(x: bucket.last!.x, y: bucket.reduce(0) { $0 + $1.y } / Double(bucket.count))
        }
    }

    private static func coordinate(_ value: Double) -> String { String(format: "%.1f", value) }

    static func percent(_ share: Double) -> String { String(format: "%.0f %%", 100 * share) }
}

/// A range of values and where its ticks stand.
private struct Axis {
    let low, high, step: Double

    init(low: Double, high: Double, step: Double) {
        self.low = low
        self.high = high
        self.step = step
    }

    /// - Parameters:
    ///   - whole: only whole numbers get ticks.
    ///   - padded: begin and end at a tick.
    init(_ values: [Double], whole: Bool, padded: Bool) {
        var (low, high) = (values.min() ?? 0, values.max() ?? 1)
        if !(high - low > 1e-12 * max(abs(low), abs(high))) {
            let room = max(0.5, 0.1 * abs(low))
            (low, high) = (low - room, high + room)
        }
        let rough = (high - low) / 5
        let magnitude = pow(10, floor(log10(rough)))
        let nice = ([1, 2, 5, 10].first { $0 * magnitude >= rough } ?? 10) * magnitude
        step = whole ? max(1, nice) : nice
        self.low = padded ? floor(low / step) * step : low
        self.high = padded ? ceil(high / step) * step : high
    }

    /// 0 at the low end, 1 at the high one.
    func place(_ value: Double) -> Double { (value - low) / (high - low) }

    var ticks: [Double] {
        let first = (low / step - 1e-9).rounded(.up)
        let last = (high / step + 1e-9).rounded(.down)
        guard first <= last, last - first < 50 else { return [] }
        return (0...Int(last - first)).map { (first + Double($0)) * step }
    }

    func text(_ tick: Double) -> String {
        let tick = abs(tick) < step / 1000 ? 0 : tick
        let largest = max(abs(low), abs(high))
        if largest >= 1e6 || step < 1e-4 { return String(format: "%.\(Int(min(8, max(1, log10(largest / step).rounded(.up)))))e", tick) }
        return String(format: "%.\(max(0, Int(ceil(-log10(step) - 1e-9))))f", tick)
    }
}
