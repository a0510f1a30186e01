/// The name closest to a misspelled one, for the "did you mean" of an error message.
///
/// Closest by Levenshtein distance over UTF-8 bytes, and at most a third of the name, rounded up, away.
/// - Returns: `nil` when nothing is close enough.
public func nearestName(to name: String, in candidates: some Sequence<String>) -> String? {
    let wanted = Array(name.utf8)
    let limit = max(1, (wanted.count + 2) / 3)
    var best: (name: String, distance: Int)?
    for candidate in candidates {
        let other = Array(candidate.utf8)
        guard abs(other.count - wanted.count) <= limit else { continue }
        let distance = editDistance(wanted, other)
        if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
}

private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var previous = Array(0...b.count)
    var current = previous
    for i in a.indices {
        current[0] = i + 1
        for j in b.indices {
            let substitution = previous[j] + (a[i] == b[j] ? 0 : 1)
            current[j + 1] = min(substitution, previous[j + 1] + 1, current[j] + 1)
        }
        swap(&previous, &current)
    }
    return previous[b.count]
}
