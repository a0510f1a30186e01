import Testing
import Training

@Suite("Schedules")
struct ScheduleTests {
    /// Those that rise from 0.
    static let shapes = Schedule.Shape.allCases.filter { $0 != .noam && $0 != .slantedTriangular }
    /// Those that end at their floor.
    static let decays = Schedule.Shape.allCases.filter { ![.constant, .inverseSqrt, .noam].contains($0) }

    @Test("warm-up rises from 0 in even steps to 1", arguments: shapes)
    func warmup(shape: Schedule.Shape) {
        let schedule = Schedule(shape, warmupSteps: 4)
        #expect((0...4).map { schedule.multiplier(step: $0, of: 20) } == [0, 0.25, 0.5, 0.75, 1])
    }

    @Test("without warm-up the first step has the whole rate, and a decay ends at its floor", arguments: Schedule.Shape.allCases.filter { $0 != .noam })
    func ends(shape: Schedule.Shape) {
        for floor in [0, 0.25] {
            let schedule = Schedule(shape, floor: floor)
            #expect(schedule.multiplier(step: 0, of: 10) == 1)
            if Self.decays.contains(shape) { #expect(abs(schedule.multiplier(step: 10, of: 10) - floor) < 1e-12) }
            #expect(schedule.multiplier(step: 9, of: 10) > floor)
        }
    }

    @Test("decays fall and never below 0, also where all is warm-up", arguments: decays)
    func falls(shape: Schedule.Shape) {
        let values = (0..<50).map { Schedule(shape, warmupSteps: 3).multiplier(step: 3 + $0, of: 40) }
        #expect(zip(values, values.dropFirst()).prefix(37).allSatisfy { $0 >= $1 })
        #expect(values.prefix(38).allSatisfy { $0 >= 0 && $0 <= 1 })
        let short = (0..<5).map { Schedule(shape, warmupSteps: 9).multiplier(step: $0, of: 5) }
        #expect(short.allSatisfy { $0 >= 0 && $0 < 1 })
    }

    @Test("what stays first falls in the last steps alone: a tenth of all unless told otherwise", arguments: [Schedule.Shape.wsdLinear, .wsdCosine, .wsdSqrt])
    func stays(shape: Schedule.Shape) {
        for (schedule, first) in [(Schedule(shape), 90), (Schedule(shape, decaySteps: 30), 70)] {
            #expect((0...first).allSatisfy { schedule.multiplier(step: $0, of: 100) == 1 })
            #expect(schedule.multiplier(step: first + 1, of: 100) < 1)
        }
    }

    @Test("another shape keeps the warm-up and brings its own floor")
    func with() {
        let linear = Schedule(.linear, warmupSteps: 7, floor: 0.2)
        #expect(linear.with(.linear) == linear)
        #expect(linear.with(.slantedTriangular) == Schedule(.slantedTriangular, warmupSteps: 7, floor: 1 / 32))
    }
}
