import Foundation
import ModelFiles

/// How records of JSON Lines files become problems.
extension QuestionAnswer {
    static func read(_ url: URL, _ settings: Settings, _ splitting: Splitting) throws -> [Problem] {
        try read(url, settings, splitting, rationale: { _ in settings.rationale })
    }

    /// Examples may keep their worked solution in a field of its own, `rationale`, where the data does not.
    static func readExamples(_ url: URL, _ settings: Settings, _ splitting: Splitting) throws -> [Problem] {
        try read(
            url, settings, splitting, where: { record in try settings.fewShotWhere.allSatisfy { try record.text($0.key) == $0.value } },
            rationale: { $0.fields["rationale"] != nil ? "rationale" : settings.rationale })
    }

    private static func read(
        _ url: URL, _ settings: Settings, _ splitting: Splitting, where isWanted: (TaskRecord) throws -> Bool = { _ in true },
        rationale: (TaskRecord) -> String?
    ) throws -> [Problem] {
        let gold = try AnswerExtraction.Extractor(settings.goldExtraction)
        var ids: Set<String> = []
        return try TaskRecord.read(url).filter(isWanted).map { record in
            let question = try record.requiredText(settings.question).trimmingCharacters(in: .whitespacesAndNewlines)
            let schema = settings.check == .schema ? record.fields[settings.answer]?.object.map { JSON.object($0).text() } : nil
            let field = try schema ?? record.requiredText(settings.answer)
            try check(field, settings.check, record)
            guard !question.isEmpty else {
                throw record.refused("the question is blank. Write one, or take the line out.")
            }
            guard let (answer, _) = gold.extract(from: field) else {
                throw record.refused("no answer found in '\(shortened(field))'. Correct the record or 'gold-extraction'.")
            }
            let choices = try settings.choices.map { try Self.choices(record, $0) }
            let key = splitting.key(of: question)
            let id = try record.text(settings.id) ?? "\(settings.name)-\(StableHash.hex(StableHash.mix(StableHash.fnv1a(question + "\n" + field))))"
            guard ids.insert(id).inserted else {
                let advice = try record.text(settings.id) == nil ? ": an earlier line has the same question and answer. Take one out." : ". Give every record its own id."
                throw record.refused("the id '\(id)' stands twice\(advice)")
            }
            var details = ["splitKey": key]
            details["choices"] = choices?.encoded
            details["schema"] = settings.check == .schema ? field : nil
            if let name = rationale(record), let text = try record.text(name) {
                details["rationale"] = settings.stripCalculatorMarks ? withoutCalculatorMarks(text) : text
            }
            return Problem(
                id: id, question: question, answer: try Self.gold(answer, choices, settings, record),
                category: try settings.category.flatMap { try record.text($0) } ?? "", details: details)
        }
    }

    /// "48/2 = <<48/2=24>>24" becomes "48/2 = 24".
    static func withoutCalculatorMarks(_ text: String) -> String {
        text.replacingOccurrences(of: "<<[^<>]*>>", with: "", options: .regularExpression)
    }

    /// - Throws: `TaskError.badRecord` for a field that is to be a regular expression or a schema and is none.
    private static func check(_ field: String, _ check: Check, _ record: TaskRecord) throws {
        do {
            switch check {
            case .answer: break
            case .regex: _ = try RegexVerifier(field)
            case .schema: _ = try JSONSchema(parsing: field)
            }
        } catch {
            throw record.refused("\(error)")
        }
    }

    private static func choices(_ record: TaskRecord, _ field: String) throws -> Choices {
        guard let texts = record.fields[field]?.array?.map(\.string), let choices = Choices(texts.compactMap(\.self)), choices.texts.count == texts.count else {
            throw record.refused("the field '\(field)' is no list of 2 to 26 texts that say something. Correct it, or name another field with 'choices'.")
        }
        return choices
    }

    /// What a verifier compares with: the letter of the right option, a label, a number, or the text. A schema is compared with nothing.
    private static func gold(_ answer: String, _ choices: Choices?, _ settings: Settings, _ record: TaskRecord) throws -> String? {
        if let choices {
            if let index = choices.index(of: answer) ?? choices.texts.firstIndex(of: answer) { return Choices.letter(index) }
            throw record.refused("the answer '\(shortened(answer))' is neither the letter nor the text of one of \(choices.texts.count) options. Correct it.")
        }
        if let labels = settings.labels {
            if let label = labels.first(where: { $0.lowercased() == answer.lowercased() }) { return label }
            if let index = Int(answer), labels.indices.contains(index) { return labels[index] }
            let known = labels.joined(separator: ", ")
            throw record.refused("the answer '\(shortened(answer))' is neither one of \(known) nor the number of one, from 0. Correct it, or 'labels'.")
        }
        switch settings.check {
        case .schema: return nil
        case .regex: return answer
        case .answer:
            guard settings.comparison == .number else { return answer }
            guard CanonicalAnswer.number(answer) != nil else {
                throw record.refused("the answer '\(shortened(answer))' is not a number, so nothing could equal it. Correct it, or set 'comparison: text'.")
            }
            return CanonicalAnswer.cleaned(answer)
        }
    }
}
