/// The words and phrases that constraints are made from: one pool for training, another for held-out problems only.
package struct ConstraintPool {
    package var words: [String]
    package var endings: [String]
    package var openings: [String]
    package var keys: [[String]]

    package static let seen = ConstraintPool(
        words: [
            "river", "window", "garden", "music", "winter", "bridge", "market", "silver", "mountain", "letter", "kitchen", "forest",
            "journey", "engine", "shadow", "summer", "village", "ocean", "paper", "morning", "simple", "careful", "bright", "quiet",
            "together", "always", "example", "important", "history", "energy", "color", "family", "school", "science", "balance",
            "reason", "future", "question", "picture", "number",
        ],
        endings: [
            "That is all.", "I hope this helps.", "And that is the answer.", "Thank you for asking.", "This is my final answer.",
            "The end.", "Let me know what you think.", "Nothing more to add.", "That concludes my reply.", "Have a good day!",
            "Is there anything else?", "Now you know.",
        ],
        openings: [
            "Here is my answer:", "Good question.", "In short:", "Let us begin.", "To answer this", "My suggestion is", "As requested:",
            "First of all", "The answer follows.", "Let me explain.", "Sure thing!", "In my view",
        ],
        keys: [
            ["answer"], ["title", "text"], ["answer", "reason"], ["summary", "details"], ["topic", "answer"], ["result", "explanation"],
            ["name", "description"], ["question", "answer", "confidence"],
        ])

    package static let unseen = ConstraintPool(
        words: [
            "castle", "thunder", "pencil", "harbor", "copper", "meadow", "lantern", "planet", "orange", "ladder", "gentle", "sudden",
            "perhaps", "measure", "culture", "memory", "desert", "signal", "valley", "pattern",
        ],
        endings: [
            "Case closed.", "I rest my case.", "Best wishes to you.", "Those are the facts.", "Over and out.", "Hope that clears it up.",
        ],
        openings: [
            "Without further ado:", "Thanks for the prompt.", "This is what I found:", "Allow me to respond.", "Briefly put:", "After some thought",
        ],
        keys: [["reply"], ["heading", "body"], ["claim", "evidence"], ["category", "response"], ["overview", "conclusion"]])

    /// Pairs that one answer can meet.
    private static let compatible: [(Constraint.Kind, Constraint.Kind)] = [
        (.atMostWords, .lowercase), (.atMostWords, .contains), (.atMostWords, .endsWith), (.atMostWords, .noCommas),
        (.atMostWords, .startsWith), (.atMostWords, .bullets), (.lowercase, .contains), (.lowercase, .endsWith),
        (.lowercase, .bullets), (.lowercase, .noCommas), (.lowercase, .startsWith), (.lowercase, .json), (.contains, .endsWith),
        (.contains, .bullets), (.contains, .noCommas), (.contains, .startsWith), (.contains, .json), (.endsWith, .bullets),
        (.endsWith, .noCommas), (.startsWith, .endsWith), (.bullets, .noCommas), (.startsWith, .bullets), (.startsWith, .noCommas),
    ]

    /// A random constraint, three in ten a combination of two.
    /// - Parameter withWords: only constraints that name a word, phrase or key.
    package func constraint(withWords: Bool, using generator: inout SeededGenerator) -> Constraint {
        if generator.below(10) < 3 {
            let (first, second) = generator.pick(Self.compatible.filter { !withWords || $0.0.hasWords || $0.1.hasWords })
            return .all([single(first, isAlone: false, using: &generator), single(second, isAlone: false, using: &generator)])
        }
        let kinds = Constraint.Kind.allCases.filter { $0 != .combination && (!withWords || $0.hasWords) }
        return single(generator.pick(kinds), isAlone: true, using: &generator)
    }

    private func single(_ kind: Constraint.Kind, isAlone: Bool, using generator: inout SeededGenerator) -> Constraint {
        switch kind {
        case .atMostWords: .atMostWords(count: generator.pick(isAlone ? [10, 15, 20, 25, 30, 40, 50] : [25, 30, 40, 50, 60]))
        case .lowercase: .lowercase
        case .contains: .contains(word: generator.pick(words))
        case .endsWith: .endsWith(phrase: generator.pick(endings))
        case .json: .json(keys: generator.pick(keys))
        case .bullets: .bullets(count: 2 + generator.below(4))
        case .noCommas: .noCommas
        case .startsWith: .startsWith(phrase: generator.pick(openings))
        case .combination: preconditionFailure("a combination is made of single constraints")
        }
    }
}
