//! Axes: where a number stands, and which numbers are written down.

/// One axis, from zero up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    most: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Scale {
    /// From zero at `from` to `most`, or a round number above it, at `to`; with about so many numbers.
    pub(super) fn new(most: f64, from: f64, to: f64, numbers: f64) -> Self {
        let most = if most.is_finite() && most > 1e-9 { most } else { 1.0 };
        let rough = most / numbers;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        Self { most: (most / step).ceil() * step, from, to, step }
    }

    /// As wide as the axis of a new one, but ending with what there is to show.
    pub(super) fn ending_at(self, most: f64) -> Self {
        if most.is_finite() && most > 1e-9 { Self { most, ..self } } else { self }
    }

    /// Where this number stands; what is not on the axis stands at its end.
    pub(super) fn at(&self, number: f64) -> f64 {
        self.from + (number / self.most).clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// The numbers that are written down.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Self { most, step, .. } = *self;
        (0..100_u32).map(move |n| f64::from(n) * step).take_while(move |tick| *tick <= most * 1.0001)
    }
}

/// With a comma between thousands: 12,500.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut told = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// As short as it is: 0.5, 30, 12,500.
pub(super) fn plain(number: f64) -> String {
    if number >= 1000.0 && number.fract() == 0.0 {
        return grouped(number);
    }
    let told = format!("{number:.4}");
    let told = told.trim_end_matches('0').trim_end_matches('.');
    if told.is_empty() || told == "0" && number > 0.0 { format!("{number:.1e}") } else { told.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_nothing_exceeds() {
        for most in [0.003, 0.5, 1.0, 7.0, 99.9, 100.0, 6400.0, 1e7] {
            let scale = Scale::new(most, 200.0, 0.0, 4.0);
            let ticks: Vec<f64> = scale.ticks().collect();
            assert!((3..=6).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= most * 0.999, "{most}: {ticks:?}");
            assert!(scale.at(most) >= 0.0 && scale.at(most) < 60.0, "it uses the room: {most}");
            assert!((scale.at(0.0) - 200.0).abs() < 1e-9);
        }
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Scale::new(nothing, 0.0, 1.0, 4.0).at(0.5).is_finite(), "{nothing}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.5, 30.0, 999.0, 12_500.0, 1e6].map(plain),
            ["0", "0.5", "30", "999", "12,500", "1,000,000"]
        );
        assert_eq!(plain(0.000_001), "1.0e-6");
        assert_eq!(grouped(999.6), "1,000");
    }
}
