/// The words and phrases that constraints are made from: one pool for training, another for held-out problems only.
package struct ConstraintPool {
    package var words: [String]
    package var endings: [String]
    package var openings: [String]
    package var keys: [[String]]

    /// Many, so that a model learns to use what is asked for instead of a few phrases by heart.
    package static let seen = ConstraintPool(
        words: [
            "river", "window", "garden", "music", "winter", "bridge", "market", "silver", "mountain", "letter", "kitchen", "forest", "journey",
            "engine", "shadow", "summer", "village", "ocean", "paper", "morning", "simple", "careful", "bright", "quiet", "together", "always",
            "example", "important", "history", "energy", "color", "family", "school", "science", "balance", "reason", "future", "question",
            "picture", "number", "table", "bottle", "island", "ticket", "doctor", "farmer", "singer", "teacher", "student", "player", "writer",
            "driver", "soldier", "neighbor", "stranger", "leader", "partner", "visitor", "camera", "mirror", "blanket", "basket", "hammer", "button",
            "pocket", "jacket", "carpet", "curtain", "candle", "ribbon", "needle", "cotton", "leather", "marble", "timber", "iron", "golden",
            "purple", "yellow", "scarlet", "rabbit", "horse", "eagle", "turtle", "spider", "monkey", "tiger", "dolphin", "salmon", "beetle",
            "flower", "grass", "branch", "apricot", "lemon", "pepper", "butter", "honey", "bread", "cheese", "coffee", "dinner", "supper", "recipe",
            "flavor", "street", "corner", "tunnel", "harvest", "station", "airport", "hotel", "museum", "library", "theater", "temple", "palace",
            "tower", "fence", "cloud", "storm", "breeze", "sunset", "midnight", "moment", "minute", "century", "season", "holiday", "birthday",
            "festival", "wedding", "concert", "lesson", "chapter", "sentence", "story", "poem", "novel", "speech", "promise", "secret", "mystery",
            "adventure", "courage", "wisdom", "patience", "honest", "clever", "curious", "modern", "ancient", "famous", "ordinary", "narrow",
            "distant", "heavy", "hollow", "smooth", "rapid", "silent", "steady", "useful", "valuable", "wonder", "anger", "comfort", "danger",
            "effort", "freedom", "growth", "habit", "health", "justice", "labor", "method", "motion", "nature", "opinion", "power", "pressure",
            "profit", "progress", "purpose", "quality", "record", "result", "reward", "rhythm", "safety", "silence", "spirit",
        ],
        endings: [
            "That is all.", "I hope this helps.", "And that is the answer.", "Thank you for asking.", "This is my final answer.", "The end.",
            "Let me know what you think.", "Nothing more to add.", "That concludes my reply.", "Have a good day!", "Is there anything else?",
            "Now you know.", "That sums it up.", "I am done here.", "Please ask again.", "Good luck with that.", "See you next time.",
            "Take care out there.", "Enjoy the rest of your day.", "That was easy enough.", "You can count on it.", "It is as simple as that.",
            "Feel free to share this.", "Keep up the good work.", "I stand by this.", "No further questions.", "Stay curious.",
            "Does that make sense?", "I trust this is useful.", "We can stop here.", "Thanks for reading.", "Until we meet again.",
            "That should do it.", "Consider it done.", "What do you say?", "End of message.", "I have nothing to hide.", "May it serve you well.",
            "Try it and see.", "This is the whole story.", "Remember this one.", "Yours truly.", "Mission accomplished.", "Happy to help!",
            "I mean every word.", "And so it goes.", "Let us leave it there.", "Read it twice.",
        ],
        openings: [
            "Here is my answer:", "Good question.", "In short:", "Let us begin.", "To answer this", "My suggestion is", "As requested:",
            "First of all", "The answer follows.", "Let me explain.", "Sure thing!", "In my view", "Here you go:", "Of course.", "To begin with",
            "Quite simply", "One idea is", "Let me think.", "It seems that", "My reply is this:", "For a start", "Happy to answer.",
            "Here is one way:", "You asked for it:", "To be honest", "At first glance", "I would say", "Listen closely.", "Good news:", "As a rule",
            "This much is clear:", "By all means.", "A quick reply:", "Many people think", "To put it plainly", "Note the following:",
            "Time for an answer.", "Speaking for myself", "On the one hand", "Here comes the answer.", "After a short pause", "What I can tell you",
            "Straight to the point:", "Dear reader", "With pleasure!", "The short version:", "It all depends.", "Picture this:",
        ],
        keys: [
            ["answer"], ["title", "text"], ["answer", "reason"], ["summary", "details"], ["topic", "answer"], ["result", "explanation"],
            ["name", "description"], ["question", "answer", "confidence"], ["message"], ["content"], ["solution"], ["subject", "message"],
            ["idea", "example"], ["input", "output"], ["first", "second"], ["cause", "effect"], ["problem", "solution"], ["label", "value"],
            ["item", "note"], ["word", "meaning"], ["author", "quote"], ["step", "action"], ["status", "comment"], ["place", "time"],
            ["fact", "source"], ["task", "done"], ["language", "translation"], ["short", "long"], ["before", "after"], ["title", "author", "text"],
            ["goal", "plan", "risk"], ["main", "extra", "final"],
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
