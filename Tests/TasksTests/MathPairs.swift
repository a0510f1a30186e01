/// Pairs of answers that a mathematician calls equal, and pairs that differ; one pair on a line.
enum MathPairs {
    static let equal = pairs(
        #"""
        all numbers except -2 ~ \text{all numbers except } -2
        non-negative numbers ~ nonnegative numbers
        \frac12 ~ \frac{1}{2}
        0.5 ~ \frac{1}{2}
        x=5 ~ 5
        10^\circ ~ 10
        \dfrac{3}{4} ~ 3/4
        \frac1{2} ~ \frac{1}{2}
        \tfrac12 ~ \frac12
        \cfrac{25}{16} ~ \frac{25}{16}
        \sqrt3 ~ \sqrt{3}
        \sqrt 3 ~ \sqrt{3}
        .5 ~ 0.5
        10\% ~ 10
        10% ~ 10
        \$20 ~ 20
        $42$ ~ 42
        42. ~ 42
        \left(1,2\right) ~ (1,2)
        ( 1 , 2 ) ~ (1,2)
        \!\sqrt{33} ~ \sqrt{33}
        5 \text{ cm} ~ 5
        5\text{ cm}^2 ~ 5
        5 \mbox{ inches}^2 ~ 5
        5\text{ square feet} ~ 5
        5 cm ~ 5
        5 sec ~ 5
        \log_2\frac{1}{8} ~ -3
        x^2\frac{1}{2} ~ \frac{x^2}{2}
        \frac12\frac13 ~ \frac16
        18 hours ~ 18
        18\,\text{hours} ~ 18
        0.25\,\text{ cm} ~ \frac14
        \frac{68}{3}\text{ pounds} ~ \frac{68}{3}
        10,\!080 ~ 10080
        10{,}000 ~ 10000
        1,000,000 ~ 1000000
        115,000 ~ 115000
        11,\! 111,\! 111,\! 100 ~ 11111111100
        111, \! 111, \! 111 ~ 111111111
        \$15,\!000 ~ 15000
        \frac{12}{5,\!525} ~ \frac{12}{5525}
        1/2 ~ 2/4
        -1/2 ~ -\frac{1}{2}
        -\frac12 ~ \frac{-1}{2}
        \frac{1}{-2} ~ -0.5
        0.25 ~ 1/4
        0.125 ~ \frac18
        1.50 ~ 3/2
        18.0 ~ 18
        007 ~ 7
        -0 ~ 0
        +3 ~ 3
        3\frac12 ~ \frac72
        3 \frac{1}{2} ~ 3.5
        3 1/2 ~ 7/2
        -1\frac{1}{2} ~ -\frac{3}{2}
        137 \frac{1}{2} ~ 137.5
        \frac{270}7 ~ \frac{270}{7}
        \frac 34 ~ 0.75
        \frac \pi4 ~ \frac{\pi}{4}
        \frac\pi4 ~ \pi/4
        \frac{\pi}{4} ~ \frac{1}{4}\pi
        0.\overline{3} ~ \frac{1}{3}
        0.1\overline{6} ~ \frac16
        1.\overline{27} ~ \frac{14}{11}
        0.\overline{9} ~ 1
        2^{10} ~ 1024
        2^10 ~ 1024
        2**10 ~ 1024
        2^{-1} ~ \frac12
        2^{-3} ~ 0.125
        4^{1/2} ~ 2
        8^{1/3} ~ 2
        8^{2/3} ~ 4
        10^{-2} ~ 0.01
        3^{2007} ~ 3\cdot 3^{2006}
        2^{2^3} ~ 256
        9^{9^9} ~ 9^{9^{9}}
        5! ~ 120
        \frac{10!}{8!} ~ 90
        \frac{1}{2004!} ~ \frac{2005}{2005!}
        \binom{5}{2} ~ 10
        \binom{n}{2} ~ \frac{n(n-1)}{2}
        \dbinom{50}{25} ~ \binom{50}{25}
        |-3| ~ 3
        \left|-\frac12\right| ~ 0.5
        \lvert x\rvert ~ |-x|
        \sqrt{4} ~ 2
        \sqrt{8} ~ 2\sqrt{2}
        \sqrt{12}+\sqrt{27} ~ 5\sqrt3
        \frac{1}{\sqrt{2}} ~ \frac{\sqrt{2}}{2}
        \sqrt{2}/2 ~ 1/\sqrt{2}
        \sqrt2\sqrt3 ~ \sqrt6
        \sqrt{\frac{1}{2}} ~ \frac{\sqrt2}{2}
        \sqrt[3]{27} ~ 3
        \sqrt[3]{16} ~ 2\sqrt[3]{2}
        \sqrt[3]{-8} ~ -2
        \sqrt[4]{4} ~ \sqrt2
        2^{1/2} ~ \sqrt2
        \sqrt{3+2\sqrt2} ~ 1+\sqrt2
        \frac{1}{1+\sqrt2} ~ \sqrt2-1
        \frac{\sqrt5-1}{2} ~ \frac{2}{1+\sqrt5}
        sqrt(2) ~ \sqrt{2}
        √2 ~ \sqrt2
        2√3 ~ 2\sqrt{3}
        π ~ \pi
        2pi ~ 2\pi
        2·π ~ 2\pi
        \pi\cdot 12 ~ 12\pi
        90 - \frac{25}{2}\pi ~ 90-12.5\pi
        9\pi/2 ~ \frac{9\pi}{2}
        e^2 ~ e\cdot e
        \ln e ~ 1
        \ln 8 ~ 3\ln 2
        \log_2 8 ~ 3
        \log_{10} 1000 ~ 3
        \sin 30^\circ ~ \frac12
        \cos 60^{\circ} ~ 0.5
        \sin\frac{\pi}{6} ~ \frac12
        \cos 13^\circ ~ \sin 77^\circ
        \tan 45^\circ ~ 1
        \sin^2 x+\cos^2 x ~ 1
        \sin(2x) ~ 2\sin x\cos x
        \tan x ~ \frac{\sin x}{\cos x}
        \sec x ~ \frac{1}{\cos x}
        \arctan 1 ~ \frac{\pi}{4}
        \sin^{-1} 1 ~ \frac{\pi}{2}
        i^2 ~ -1
        3+5i ~ 5i+3
        \frac{3}{2} + \frac{3}{2} i ~ \frac{3+3i}{2}
        (1+i)^2 ~ 2i
        \frac{1}{i} ~ -i
        \sqrt{-4} ~ 2i
        e^{i\pi} ~ -1
        (x+1)^2 ~ x^2+2x+1
        (x-5)(x^2-4x+7) ~ (x^2-4x+7)(x-5)
        x^2-5 ~ -5+x^2
        2x(x+3) ~ 2x^2+6x
        \frac{x+2}{7} ~ \frac17(x+2)
        \frac{x^2-1}{x-1} ~ x+1
        \frac1{2x} ~ \frac{1}{2}x^{-1}
        p - q ~ -q+p
        ab ~ ba
        3qr + 6q - 15r -30 ~ 3(q-5)(r+2)
        \frac{1}{y} + y ~ \frac{1+y^2}{y}
        36x \sqrt{35x} ~ 36\sqrt{35x}\cdot x
        \sqrt{x^2} ~ |x|
        2^{n+1} ~ 2\cdot 2^n
        \frac{n!}{(n-1)!} ~ n
        a_1+a_2 ~ a_{2}+a_{1}
        \alpha\beta ~ \beta \alpha
        \theta ~ θ
        2 \times 3 ~ 6
        6 \div 4 ~ 1.5
        6*7 ~ 42
        5 ~ x = 5
        k = 15 ~ 15
        5 = x ~ x = 5
        y = 2x + 3 ~ y = 3+2x
        y = 2x + 3 ~ 2x+3
        y = 2x + 3 ~ 2x - y + 3 = 0
        4x-5y=-50 ~ 5y - 4x = 50
        x^2 + y^2 = 13 ~ 13 = y^2+x^2
        10x - 4y - 5z - 20 = 0 ~ 5z+4y-10x+20=0
        f(x) = x^2 ~ x^2
        x=1,2 ~ x = 2 \text{ or } x = 1
        1, 2 ~ 2, 1
        1,-2 ~ -2 \text{ and } 1
        7, -2, \text{ and } -5 ~ -5,-2,7
        \sqrt{5}, -\sqrt{5} ~ \pm\sqrt5
        1 \pm \sqrt{19} ~ 1+\sqrt{19}, 1-\sqrt{19}
        3 \mp 2 ~ 5, 1
        \{1\pm\sqrt{5},-2\} ~ \{-2, 1-\sqrt5, 1+\sqrt5\}
        \{1,2,3\} ~ \{3,1,2\}
        \{1,2\} ~ 2,1
        x > 3 ~ 3 < x
        x \ge 3 ~ x >= 3
        x \leq \frac12 ~ 2x \le 1
        1 < x < 2 ~ 2 > x > 1
        x \ne 2 ~ 2 \neq x
        f(2) < f(1) < f(4) ~ f(4)>f(1)>f(2)
        x \in [-2,7] ~ [-2,7]
        (-\infty, 3) ~ \left(-\infty,3\right)
        [1, \infty) ~ [1,+\infty)
        (-\infty, -2] \cup [2, \infty) ~ [2,\infty)\cup(-\infty,-2]
        (-∞, 0.5) ~ (-\infty,\frac12)
        \left[ -\frac{1}{2}, \frac{1}{2} \right] ~ [-0.5,0.5]
        (\tfrac12, \tfrac32] ~ (0.5,1.5]
        \{-1\} \cup [0,7) ~ [0,7)\cup\{-1\}
        \emptyset ~ \varnothing
        (3, \frac{\pi}{2}) ~ (3,\pi/2)
        \left( \frac{1}{\sqrt{2}}, \frac{1}{\sqrt{2}} \right) ~ \left(\frac{\sqrt2}{2},\frac{\sqrt2}{2}\right)
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} ~ \begin{bmatrix}1\\2\end{bmatrix}
        \begin{pmatrix} 1/2 & 0 \\ 0 & 1 \end{pmatrix} ~ \begin{pmatrix}0.5&0\\0&1\end{pmatrix}
        \begin{pmatrix} 1/\sqrt{2} \\ 0 \end{pmatrix} ~ \begin{pmatrix} \frac{\sqrt2}2 \\ 0 \end{pmatrix}
        1011_2 ~ 1011_{2}
        338_{10} ~ 338
        152A_{11} ~ 152A_{11} 
        01011_2 ~ 1011_2
        0.0011_{2} ~ 0.0011_2
        \text{(A)} ~ A
        \text{A} ~ A
        (\text{E}) ~ E
        \textbf{(C)} ~ C
        \text{A,C,F} ~ F, A, C
        \text{Friday} ~ Friday
        \mbox{Saturday} ~ \text{saturday}
        \text{even} ~ even.
        \text{13} ~ 13
        \text{4:30 p.m.} ~ 4:30 pm
        \text{June 20} ~ June 20
        3:1 ~ 3 : 1
        \overline{CD} ~ \overline{CD}
        27^\circ, 63^\circ ~ 63, 27
        9\text{ a.m.} ~ 9 a.m.
        3(x-2)(x+1) ~ 3x^2-3x-6
        -\frac{5 \pi}{12}, -\frac{\pi}{12} ~ -\frac{\pi}{12}, -\frac{5 \pi}{12}
        4, -2 + 3i, -2 - 3i ~ 4, -2\pm 3i
        \frac{648}{\pi} ~ 648\pi^{-1}
        32R^2 - 3(a^2 + b^2 + c^2) ~ 32R^2-3a^2-3b^2-3c^2
        \{1\} ~ 1
        5\text{ miles}/\text{hour} ~ 5
        x \le -1 \text{ or } x \ge 2 ~ x\ge2, x\le-1
        \text{(A), (B)} ~ B, A
        10\;\text{edges} ~ 10
        \frac{3}{4}\pi\text{ inches} ~ 0.75\pi
        \text{Area} = 6 ~ 6
        """#)

    static let unequal = pairs(
        #"""
        \text{all real numbers except } 2 ~ \text{all real numbers except } -2
        between 1.5 and 2 ~ between 15 and 2
        1/3 ~ 0.33
        (1,2) ~ (2,1)
        1/3 ~ 0.333
        1/3 ~ 0.3333333333333333
        2/3 ~ 0.6666666666666667
        3.14 ~ \pi
        22/7 ~ \pi
        355/113 ~ \pi
        3.141592653589793 ~ \pi
        3.14159265358979323846 ~ \pi
        1.41 ~ \sqrt2
        1.4142135623730951 ~ \sqrt2
        \frac{14142135623730951}{10000000000000000} ~ \sqrt{2}
        2.718281828459045 ~ e
        1.4142135623730951x ~ \sqrt{2}x
        0.17364817766693036 ~ \sin 10^\circ
        x^2 ~ y^2
        x ~ y
        x ~ X
        x^2 ~ x^3
        x^2 ~ 2x
        (x+1)^2 ~ x^2+1
        (x+1)^2 ~ x^2+2x
        \sqrt{x+y} ~ \sqrt x+\sqrt y
        \sqrt{x^2} ~ x
        \frac{1}{x} ~ x
        \frac{x}{2} ~ \frac{2}{x}
        2x-1 ~ 2x+1
        x-y ~ y-x
        x^{10} ~ x^10y
        5 ~ -5
        5 ~ 6
        50 ~ 5
        0.5 ~ 5
        10\% ~ 0.1
        50\% ~ \frac12
        2^{10} ~ 1023
        2^{10} ~ 10^2
        2^{64} ~ 2^{64}+1
        9007199254740992 ~ 9007199254740993
        3^{2007} ~ 3^{2008}
        9^{9^9} ~ 9^{9^8}
        9^{9^9} ~ (9^9)^9
        100! ~ 101!
        \frac{1}{2004!} ~ 0
        \frac{1}{2004!} ~ \frac{1}{2005!}
        10^{-20} ~ 0
        10^{-20}\sqrt2 ~ 0
        \sqrt3 ~ 3
        \sqrt{3} ~ \sqrt{5}
        \sqrt[3]{2} ~ \sqrt{2}
        2\sqrt3 ~ 3\sqrt2
        \sqrt{12} ~ 2\sqrt{2}
        -\sqrt2 ~ \sqrt2
        \sqrt{5} ~ \pm\sqrt{5}
        \frac12 ~ \frac13
        \frac{1}{2} ~ \frac{2}{1}
        \frac12 ~ 12
        3\frac12 ~ \frac32
        3\frac12 ~ 31/2
        3 1/2 ~ 31/2
        3\frac{1}{2} ~ \frac{3}{2}
        1\frac{1}{4} ~ \frac14
        12\pi ~ 12
        12\pi ~ 21\pi
        \pi^2 ~ 2\pi
        e ~ \pi
        \ln 2 ~ \log_2 e
        \sin 30^\circ ~ \sin 30x
        \sin x ~ \cos x
        \sin x ~ x
        \sin 2x ~ 2\sin x
        \cos 13^\circ ~ \cos 58^\circ
        \tan x ~ \cot x
        \sin^2 x ~ \sin x^2
        i ~ 1
        i ~ -i
        3+5i ~ 3-5i
        3+5i ~ 5+3i
        (1,2] ~ [1,2)
        (1,2) ~ [1,2]
        (1,2] ~ (1,2)
        [0,1] ~ 0,1
        (1,2) ~ 1,2
        (1,2) ~ (1,2,3)
        (1,2,3) ~ (1,3,2)
        (1,2) ~ 12
        (-\infty, 3) ~ (3,\infty)
        (-\infty, 3) ~ (-\infty,3]
        (-\infty, 3) ~ (\infty,3)
        \infty ~ -\infty
        (-\infty,0)\cup(0,\infty) ~ (-\infty,\infty)
        (-\infty,0)\cup(0,\infty) ~ (-\infty,0)\cap(0,\infty)
        [0,1]\cup[2,3] ~ [0,1]\cup[2,4]
        \{1,2\} ~ \{1,3\}
        \{1,2\} ~ \{1,2,3\}
        \{1,2\} ~ (1,2)
        \emptyset ~ 0
        1,2 ~ 1,3
        1,2 ~ 1
        1,2,2 ~ 1,1,2
        12, 10, 6 ~ 12106
        1,2 ~ 12
        100,200,3 ~ 100200,3
        (1,000) ~ 1000
        1,000 ~ 1
        19 \text{ and } 43 ~ 19
        x=1,2 ~ x=1
        x=1, y=2 ~ x=2, y=1
        x=5 ~ x=6
        2x=5 ~ 5
        y = 2x+3 ~ y = 2x-3
        y = 2x+3 ~ y = 3x+2
        y = 2x + 3 ~ x = 2y + 3
        x^2 + y^2 = 13 ~ x^2 - y^2 = 13
        x^2 + y^2 = 13 ~ 13
        4x-5y=-50 ~ 4x-5y=50
        x > 3 ~ x < 3
        x > 3 ~ x \ge 3
        x > 3 ~ x > -3
        x > 3 ~ -x > -3
        x \ne 2 ~ x = 2
        1<x<2 ~ 1<x\le 2
        1<x<2 ~ 1<x<3
        f(2) < f(1) < f(4) ~ f(1) < f(2) < f(4)
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} ~ \begin{pmatrix} 2 \\ 1 \end{pmatrix}
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} ~ \begin{pmatrix} 1 & 2 \end{pmatrix}
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} ~ \begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} ~ (1,2)
        1011_2 ~ 1011
        1011_2 ~ 1011_3
        1011_2 ~ 1101_2
        1011_2 ~ 11
        \text{A} ~ \text{B}
        \text{(A)} ~ (B)
        \text{A,C,F} ~ \text{A,C}
        \text{ACF} ~ \text{ACE}
        \text{even} ~ \text{odd}
        \text{even} ~ never
        \text{Friday} ~ \text{Monday}
        \text{Friday} ~ 5
        \text{4:30 p.m.} ~ \text{4:30 a.m.}
        9\text{ a.m.} ~ 9\text{ p.m.}
        \text{June 20} ~ \text{June 21}
        \text{east} ~ \text{west}
        3:1 ~ 1:3
        3:1 ~ 31
        5! ~ 5
        5! ~ 24
        \binom{5}{2} ~ \binom{5}{1}
        \binom{5}{2} ~ \frac52
        |-3| ~ -3
        |x| ~ x
        0.\overline{3} ~ 0.3
        0.\overline{9} ~ 0.9999999999
        0.1\overline{6} ~ 0.\overline{16}
        1.2.3 ~ 1.23
        2+3i ~ 2,3i
        a_1 ~ a_2
        \alpha ~ a
        \alpha ~ \beta
        \overline{CD} ~ \overline{AB}
        \frac{1}{0} ~ \frac{2}{0}
        0/0 ~ 1
        1 ~ \frac{x}{y}
        1000000 ~ 1000001
        \$4.00 ~ \$4.01
        \frac{9}{4}, -\frac{9}{4} ~ \frac94
        2004\sqrt{2}-2003 ~ 831
        7p+4e ~ 7p+4
        2\sqrt{113} ~ 21.2602916254693
        2^{2005} ~ 2^{2004}+2^{2003}
        9\text{ a.m.} ~ 9
        4, -2 + 3i, -2 - 3i ~ 4, -2+3i
        \frac{a}{b+c} ~ \frac{a}{b}+c
        \sqrt{a^2+b^2} ~ a+b
        2^{n+1} ~ 2^n+1
        \log_2 8 ~ \log_8 2
        \frac{n!}{(n-1)!} ~ n-1
        x \le -1 \text{ or } x \ge 2 ~ -1 \le x \le 2
        -\frac{\pi}{4} ~ \frac{\pi}{4}
        e^{i\pi} ~ 1
        """#)

    private static func pairs(_ lines: String) -> [(String, String)] {
        lines.split(separator: "\n").map { line in
            let parts = line.split(separator: " ~ ", omittingEmptySubsequences: false)
            precondition(parts.count == 2, "no pair: \(line)")
            return (String(parts[0]), String(parts[1]))
        }
    }
}
