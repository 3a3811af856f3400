//! The logged answers of one call, as a replay asks for them: [`Recorded`].

use std::vec;

use super::violation::{Mismatch, Violation};
use crate::entry::{OracleAnswer, OracleError, Question};
use crate::value::Value;

/// The answers that the log has for one call. A replay asks here instead of the world, and so finds whether it asks and needs
/// exactly what the log has: no more, no less, and nothing else.
#[derive(Debug)]
pub struct Recorded {
    /// Those not yet asked for.
    logged: vec::IntoIter<OracleAnswer>,
    /// Those asked for, whose answer is not due yet.
    asked: std::collections::VecDeque<OracleAnswer>,
    /// Questions so far.
    questions: usize,
}

impl Recorded {
    /// Begins a call whose entry has these answers.
    pub fn new(answers: Vec<OracleAnswer>) -> Self {
        Self { logged: answers.into_iter(), asked: Default::default(), questions: 0 }
    }

    /// Takes the replay's next question.
    ///
    /// # Errors
    /// [`Violation::OracleMissing`] if the log has none there, [`Violation::OracleOther`] if it has another one.
    pub fn ask(&mut self, question: &Question) -> Result<(), Violation> {
        self.questions += 1;
        let replayed = || format!("question {} asks `{}`", self.questions, question.name);
        let Some(logged) = self.logged.next() else {
            let logged = format!("{} questions", self.questions - 1);
            return Err(Violation::OracleMissing(mismatch("oracles", logged, replayed())));
        };
        if logged.ask != question.ask() {
            let other = format!("question {} asks something else", self.questions);
            return Err(Violation::OracleOther(mismatch("oracles.ask", other, replayed())));
        }
        self.asked.push_back(logged);
        Ok(())
    }

    /// Returns the answer that is due: that of the oldest question without one. `None` if there is no such question.
    ///
    /// # Errors
    /// [`Violation::OracleMissing`] if it was cancelled: the logged call ended before it needed it.
    pub fn answer(&mut self) -> Option<Result<Result<Value, OracleError>, Violation>> {
        let due = self.questions - self.asked.len() + 1;
        let answer = self.asked.pop_front()?;
        if !answer.is_cancelled() {
            return Some(Ok(answer.answer));
        }
        let (logged, replayed) = (format!("question {due} is cancelled"), format!("needs answer {due}"));
        Some(Err(Violation::OracleMissing(mismatch("oracles.err", logged, replayed))))
    }

    /// Ends the call.
    ///
    /// # Errors
    /// [`Violation::OracleUnused`] if the log has more questions, or an answer that was never due.
    pub fn end(mut self) -> Result<(), Violation> {
        let unused = |logged, replayed| Err(Violation::OracleUnused(mismatch("oracles", logged, replayed)));
        if let more @ 1.. = self.logged.by_ref().count() {
            let logged = format!("{} questions", self.questions + more);
            return unused(logged, format!("{} questions", self.questions));
        }
        let first = self.questions - self.asked.len() + 1;
        match self.asked.iter().position(|answer| !answer.is_cancelled()) {
            None => Ok(()),
            Some(offset) => {
                let due = first + offset;
                unused(format!("question {due} has an answer"), format!("ends before answer {due} is due"))
            }
        }
    }
}

fn mismatch(field: &'static str, logged: String, replayed: String) -> Mismatch {
    Mismatch { field, logged, replayed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::OracleCode;

    fn question(number: i64) -> Question {
        Question { name: "q".into(), args: vec![Value::Integer(number)] }
    }

    /// Returns a log's answers: a number is answered, `None` cancelled.
    fn recorded(answers: &[Option<i64>]) -> Recorded {
        let cancelled = || Err(OracleError::new(OracleCode::Cancelled, "m"));
        let answer = |(at, answer): (usize, &Option<i64>)| OracleAnswer {
            ask: question(at as i64).ask(),
            answer: answer.map_or_else(cancelled, |number| Ok(Value::Integer(number))),
        };
        Recorded::new(answers.iter().enumerate().map(answer).collect())
    }

    fn class(result: Result<(), Violation>) -> &'static str {
        result.map_or_else(|violation| violation.class(), |()| "ok")
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let mut replay = recorded(&[Some(7), Some(8), None]);
        assert!(replay.answer().is_none());
        for number in 0..2 {
            assert_eq!(replay.ask(&question(number)), Ok(()));
        }
        assert_eq!(replay.answer(), Some(Ok(Ok(Value::Integer(7)))));
        assert_eq!(replay.ask(&question(2)), Ok(()));
        assert_eq!(replay.answer(), Some(Ok(Ok(Value::Integer(8)))));
        assert_eq!(replay.end(), Ok(()));
    }

    #[test]
    fn each_deviation_has_its_class() {
        assert_eq!(class(recorded(&[]).ask(&question(0))), "oracle-missing");
        assert_eq!(class(recorded(&[Some(1)]).ask(&question(1))), "oracle-other");
        let other = Question { name: "p".into(), args: vec![Value::Integer(0)] };
        assert_eq!(class(recorded(&[Some(1)]).ask(&other)), "oracle-other");
        assert_eq!(class(recorded(&[None]).end()), "oracle-unused");
        let mut asked = recorded(&[None, Some(2)]);
        assert_eq!((asked.ask(&question(0)), asked.ask(&question(1))), (Ok(()), Ok(())));
        assert_eq!(class(asked.end()), "oracle-unused");
        let mut needed = recorded(&[Some(1), None]);
        assert_eq!((needed.ask(&question(0)), needed.ask(&question(1))), (Ok(()), Ok(())));
        assert!(matches!(needed.answer(), Some(Ok(_))));
        let missing = needed.answer().expect("it was asked").expect_err("cancelled");
        assert_eq!(missing.class(), "oracle-missing");
        assert!(missing.to_string().contains("question 2 is cancelled"), "{missing}");
        assert_eq!(needed.end(), Ok(()));
    }
}
