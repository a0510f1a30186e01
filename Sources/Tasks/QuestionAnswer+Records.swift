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
        let gold = try AnswerExtraction.Extractor(settings.goldExtraction ?? AnswerExtraction(settings.check == .regex ? [.whole] : [.strict, .whole]))
        var ids: Set<String> = []
        let records = try TaskRecord.read(url).filter(isWanted)
        // Then one that is an option's text too is a letter like the others.
        let areLetters = try settings.choices != nil && records.allSatisfy { try $0.text(settings.answer)?.utf8.count == 1 }
        return try records.map { record in
            let question = try record.requiredText(settings.question).trimmingCharacters(in: .whitespacesAndNewlines)
            let schema = settings.check == .schema ? record.fields[settings.answer]?.object.map { JSON.object($0).text() } : nil
            let isOptional = [.code, .external].contains(settings.check)
            let field = try schema ?? (isOptional ? record.text(settings.answer) : record.requiredText(settings.answer))
            guard !question.isEmpty else {
                throw record.refused("the question is blank. Write one, or take the line out.")
            }
            var answer: String?
            if let field, settings.check != .code {
                try check(field, settings.check, record)
                guard let (found, _) = try gold.extract(from: field) else {
                    throw record.refused("no answer found in '\(shortened(field))'. Correct the record or 'gold-extraction'.")
                }
                answer = found
            }
            let choices = try settings.choices.map { try Self.choices(record, $0) }
            let key = splitting.key(of: question)
            let id = try record.text(settings.id) ?? "\(settings.name)-\(StableHash.hex(StableHash.mix(StableHash.fnv1a(question + "\n" + (field ?? "")))))"
            guard ids.insert(id).inserted else {
                let advice = try record.text(settings.id) == nil ? ": an earlier line has the same question and answer. Take one out." : ". Give every record its own id."
                throw record.refused("the id '\(id)' stands twice\(advice)")
            }
            var details = settings.keepsFields || isOptional ? try otherFields(of: record, settings) : [:]
            details["splitKey"] = key
            if let choices { details["choices"] = choices.encoded }
            if let field, settings.check == .schema { details["schema"] = field }
            if let field, settings.check == .code { details["reference"] = field }
            if let name = rationale(record), let text = try record.text(name) {
                details["rationale"] = settings.stripCalculatorMarks ? withoutCalculatorMarks(text) : text
            }
            return Problem(
                id: id, question: question, answer: try answer.flatMap { try Self.gold($0, choices, areLetters: areLetters, settings, record) },
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
            case .answer, .math, .quantity, .code, .external: break
            case .regex: _ = try RegexVerifier(field)
            case .schema: _ = try JSONSchema(parsing: field)
            }
        } catch {
            throw record.refused("\(error)")
        }
    }

    /// What a verifier may read besides the answer: the fields that no setting names, a text as it is, a list of tests line by line, others as JSON.
    private static func otherFields(of record: TaskRecord, _ settings: Settings) throws -> [String: String] {
        let named = [settings.question, settings.answer, settings.id, settings.rationale, settings.category, settings.choices]
        var details: [String: String] = [:]
        for (key, value) in record.fields.members where !named.contains(key) && !value.isNull {
            let lines = key == "tests" ? value.array?.compactMap(\.string) : nil
            details[key] = value.string ?? lines?.joined(separator: "\n") ?? value.text()
        }
        guard settings.check == .code else { return details }
        func isGiven(_ fields: String...) -> Bool { fields.allSatisfy { details[$0]?.allSatisfy(\.isWhitespace) == false } }
        guard isGiven("tests", "entry_point") || isGiven("inputs", "outputs") else {
            throw record.refused("no tests of code. Give 'tests' and 'entry_point', the function that they call, or 'inputs' and 'outputs' of a program.")
        }
        if record.fields["tests"]?.array?.contains(where: { $0.string == nil }) == true { throw record.refused("not every one of 'tests' is a text. Write each as code.") }
        guard isGiven("tests", "entry_point") || CodeVerifier.cases(details) != nil else {
            throw record.refused("'inputs' and 'outputs' are no two lists of equally many texts. Write what a program reads, and what it prints, as one text for each run.")
        }
        return details
    }

    private static func choices(_ record: TaskRecord, _ field: String) throws -> Choices {
        guard let texts = record.fields[field]?.array?.map(\.string), let choices = Choices(texts.compactMap(\.self)), choices.texts.count == texts.count else {
            throw record.refused("the field '\(field)' is no list of 2 to 26 texts that say something. Correct it, or name another field with 'choices'.")
        }
        return choices
    }

    /// What a verifier compares with: the letter of the right option, a label, a number, or the text. A schema is compared with nothing.
    private static func gold(_ answer: String, _ choices: Choices?, areLetters: Bool, _ settings: Settings, _ record: TaskRecord) throws -> String? {
        if let choices {
            if !areLetters, let letter = choices.index(of: answer), let text = choices.texts.firstIndex(of: answer), letter != text {
                throw record.refused("the answer '\(answer)' is the letter of one option and the text of another. Write the right one's letter, and the options' texts so that none is another's letter.")
            }
            if let index = choices.right(answer) { return Choices.letter(index) }
            throw record.refused("the answer '\(shortened(answer))' is neither the letter nor the text of one of \(choices.texts.count) options. Correct it.")
        }
        if let labels = settings.labels {
            if let label = labels.first(where: { $0.lowercased() == answer.lowercased() }) { return label }
            if let index = Int(answer), labels.indices.contains(index) { return labels[index] }
            let known = labels.joined(separator: ", ")
            throw record.refused("the answer '\(shortened(answer))' is neither one of \(known) nor the number of one, from 0. Correct it, or 'labels'.")
        }
        switch settings.check {
        case .schema, .code: return nil
        case .regex, .math, .external: return answer
        case .quantity:
            guard Quantity(lastIn: answer) != nil else { throw record.refused("the answer '\(shortened(answer))' holds no number. Correct it, or set 'check: answer'.") }
            return answer
        case .answer:
            guard settings.comparison == .number else { return answer }
            guard CanonicalAnswer.number(answer) != nil else {
                throw record.refused("the answer '\(shortened(answer))' is not a number, so nothing could equal it. Correct it, or set 'comparison: text'.")
            }
            return CanonicalAnswer.cleaned(answer)
        }
    }
}
