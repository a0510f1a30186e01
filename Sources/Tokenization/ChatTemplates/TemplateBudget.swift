/// What one template may use up: templates come with downloaded models, and are not trusted.
///
/// A step is one node, one operation, one item made or 64 bytes of text, so that steps bound time and memory alike.
final class TemplateBudget {
    private var steps = 0

    func spend(_ count: Int = 1) throws {
        steps += min(count, ChatTemplate.maximumSteps + 1)
        if steps > ChatTemplate.maximumSteps { throw TemplateProblem.limit("\(ChatTemplate.maximumSteps) steps") }
    }

    func spend(bytes: Int) throws {
        guard bytes <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
        try spend(bytes >> 6)
    }

    /// For work that looks at the scalars of a text.
    func spend(handling bytes: Int) throws {
        try spend(bytes: bytes)
        try spend(bytes >> 4)
    }

    func spend(handling value: TemplateValue) throws {
        if let text = value.text { try spend(handling: text.utf8.count) }
    }
}
