import Foundation

/// The moment that `strftime_now` writes.
struct TemplateClock {
    let date: Date
    let timeZone: TimeZone

    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]

    /// The moment in a format of `strftime`, in English. A letter without meaning stays as it is.
    func text(_ format: String) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second, .weekday], from: date)
        let (year, month, day) = (parts.year!, parts.month!, parts.day!)
        let (hour, minute, second, weekday) = (parts.hour!, parts.minute!, parts.second!, parts.weekday! - 1)
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let dayOfYear = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month - 1] + day + (isLeap && month > 2 ? 1 : 0)
        let mondayBased = (weekday + 6) % 7
        // The week of a date is that of its Thursday.
        let thursday = dayOfYear - mondayBased + 3
        func length(_ year: Int) -> Int { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366 : 365 }
        let isoYear = thursday < 1 ? year - 1 : thursday > length(year) ? year + 1 : year
        let isoDay = thursday < 1 ? thursday + length(year - 1) : thursday > length(year) ? thursday - length(year) : thursday
        let twelve = hour % 12 == 0 ? 12 : hour % 12
        func padded(_ number: Int, _ width: Int = 2, with fill: String = "0") -> String {
            let text = String(number)
            return String(repeating: fill, count: max(0, width - text.count)) + text
        }

        func field(_ letter: Unicode.Scalar) -> String {
            switch letter {
            case "a": String(TemplateClock.days[weekday].prefix(3))
            case "A": TemplateClock.days[weekday]
            case "b", "h": String(TemplateClock.months[month - 1].prefix(3))
            case "B": TemplateClock.months[month - 1]
            case "c": "\(field("a")) \(field("b")) \(padded(day, with: " ")) \(field("T")) \(year)"
            case "C": padded(year / 100)
            case "d": padded(day)
            case "D", "x": "\(padded(month))/\(padded(day))/\(padded(year % 100))"
            case "e": padded(day, with: " ")
            case "f": "000000"
            case "F": "\(year)-\(padded(month))-\(padded(day))"
            case "g": padded(isoYear % 100)
            case "G": String(isoYear)
            case "H": padded(hour)
            case "I": padded(twelve)
            case "j": padded(dayOfYear, 3)
            case "k": padded(hour, with: " ")
            case "l": padded(twelve, with: " ")
            case "m": padded(month)
            case "M": padded(minute)
            case "n": "\n"
            case "p": hour < 12 ? "AM" : "PM"
            case "P": hour < 12 ? "am" : "pm"
            case "r": "\(padded(twelve)):\(padded(minute)):\(padded(second)) \(field("p"))"
            case "R": "\(padded(hour)):\(padded(minute))"
            case "s": String(Int(date.timeIntervalSince1970))
            case "S": padded(second)
            case "t": "\t"
            case "T", "X": "\(padded(hour)):\(padded(minute)):\(padded(second))"
            case "u": String(weekday == 0 ? 7 : weekday)
            case "U": padded((dayOfYear + 6 - weekday) / 7)
            case "V": padded((isoDay - 1) / 7 + 1)
            case "w": String(weekday)
            case "W": padded((dayOfYear + 6 - mondayBased) / 7)
            case "y": padded(year % 100)
            case "Y": String(year)
            case "z", "Z": ""  // a moment without a time zone, as templates expect it
            case "%": "%"
            default: "%\(letter)"
            }
        }

        var result = ""
        var scalars = format.unicodeScalars.makeIterator()
        while let scalar = scalars.next() {
            if scalar != "%" {
                result.unicodeScalars.append(scalar)
                continue
            }
            guard var letter = scalars.next() else { return result + "%" }
            guard letter == "-" || letter == "_" || letter == "0" else {
                result += field(letter)
                continue
            }
            // Glibc's flags for the padding of numbers.
            let flag = letter
            guard let next = scalars.next() else { return result + "%\(flag)" }
            letter = next
            let text = field(letter)
            let number = text.drop { $0 == "0" || $0 == " " }
            guard text.allSatisfy({ $0.isNumber || $0 == " " }) else {
                result += text
                continue
            }
            let digits = number.isEmpty ? "0" : String(number)
            result += flag == "-" ? digits : String(repeating: flag == "_" ? " " : "0", count: text.count - digits.count) + digits
        }
        return result
    }
}
