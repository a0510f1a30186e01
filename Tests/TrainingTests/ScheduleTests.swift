import Testing
import Training

@Suite("Schedules")
struct ScheduleTests {
    @Test("warm-up rises from 0 in even steps to 1", arguments: Schedule.Shape.allCases)
    func warmup(shape: Schedule.Shape) {
        let schedule = Schedule(shape, warmupSteps: 4)
        #expect((0...4).map { schedule.multiplier(step: $0, of: 20) } == [0, 0.25, 0.5, 0.75, 1])
    }

    @Test("without warm-up the first step has the whole rate, and the last of a decay has none left after it", arguments: Schedule.Shape.allCases)
    func ends(shape: Schedule.Shape) {
        let schedule = Schedule(shape)
        #expect(schedule.multiplier(step: 0, of: 10) == 1)
        #expect(abs(schedule.multiplier(step: 10, of: 10) - (shape == .constant ? 1 : 0)) < 1e-12)
        #expect(schedule.multiplier(step: 9, of: 10) > 0)
    }

    @Test("decays fall and never below 0, also where all is warm-up", arguments: [Schedule.Shape.linear, .cosine])
    func falls(shape: Schedule.Shape) {
        let values = (0..<50).map { Schedule(shape, warmupSteps: 3).multiplier(step: 3 + $0, of: 40) }
        #expect(zip(values, values.dropFirst()).prefix(37).allSatisfy { $0 >= $1 })
        #expect(values.prefix(38).allSatisfy { $0 >= 0 && $0 <= 1 })
        let short = (0..<5).map { Schedule(shape, warmupSteps: 9).multiplier(step: $0, of: 5) }
        #expect(short.allSatisfy { $0 >= 0 && $0 < 1 })
    }
}
