// Tests: what stands after `is`.
#include "runtime/jinja/interpreter.h"

namespace espalier::runtime::jinja {

bool Interpreter::test(TestId id, const Str& name, const Value& subject,
                       const CallArguments& given) {
  if (failed_) return false;
  static constexpr const char* kNames[] = {"other"};
  Value other[1];
  const auto with_other = [&] {
    return bind("the test '" + std::string(name.view()) + "'", given, kNames, other, 1);
  };
  const auto comparison = [&](CompareOp op) {
    return with_other() && compare(op, subject, other[0]);
  };
  const auto remainder = [&](const Value& by) {
    const Value rest = binary(BinaryOp::kMod, subject, by);
    return failed_ ? Value::none() : rest;
  };
  switch (id) {
    case TestId::kUnknown:
      fail("there is no test '" + std::string(name.view().substr(0, 80)) + "'");
      return false;
    case TestId::kEq:
      return comparison(CompareOp::kEq);
    case TestId::kNe:
      return comparison(CompareOp::kNe);
    case TestId::kLt:
      return comparison(CompareOp::kLt);
    case TestId::kLe:
      return comparison(CompareOp::kLe);
    case TestId::kGt:
      return comparison(CompareOp::kGt);
    case TestId::kGe:
      return comparison(CompareOp::kGe);
    case TestId::kIn:
      return comparison(CompareOp::kIn);
    case TestId::kSameAs:
      if (!with_other()) return false;
      if (subject.kind != other[0].kind) return false;
      if (subject.is(Kind::kFloat)) return false;
      if (subject.is(Kind::kBool)) return subject.boolean == other[0].boolean;
      if (subject.is(Kind::kNone)) return true;
      return subject.integer == other[0].integer;  // the same pointer
    case TestId::kDivisibleBy:
      return with_other() && equal(remainder(other[0]), Value::of(std::int64_t{0})) && !failed_;
    default:
      break;
  }
  if (!bind("the test '" + std::string(name.view()) + "'", given, {}, {}, 0)) return false;
  switch (id) {
    case TestId::kDefined:
      return !subject.is_undefined();
    case TestId::kUndefined:
      return subject.is_undefined();
    case TestId::kNone:
      return subject.is(Kind::kNone);
    case TestId::kBoolean:
      return subject.is(Kind::kBool);
    case TestId::kTrue:
      return subject.is(Kind::kBool) && subject.boolean;
    case TestId::kFalse:
      return subject.is(Kind::kBool) && !subject.boolean;
    case TestId::kInteger:
      return subject.is(Kind::kInt);
    case TestId::kFloat:
      return subject.is(Kind::kFloat);
    case TestId::kNumber:
      return subject.is_integral() || subject.is(Kind::kFloat);
    case TestId::kString:
      return subject.is(Kind::kString);
    case TestId::kMapping:
      return subject.is(Kind::kDict);
    case TestId::kIterable:
      return iterable(subject);
    case TestId::kSequence:
      return iterable(subject) && !subject.is(Kind::kView) && !subject.is(Kind::kIterator) &&
             !subject.is(Kind::kLoop);
    case TestId::kCallable:
      return subject.is(Kind::kMacro) || subject.is(Kind::kMethod) || subject.is(Kind::kFunction) ||
             subject.is(Kind::kLoop) || subject.is(Kind::kJoiner) || subject.is_undefined();
    case TestId::kEscaped:
      return subject.is(Kind::kString) && subject.safe;
    case TestId::kEven:
      return equal(remainder(Value::of(std::int64_t{2})), Value::of(std::int64_t{0})) && !failed_;
    case TestId::kOdd:
      return equal(remainder(Value::of(std::int64_t{2})), Value::of(std::int64_t{1})) && !failed_;
    case TestId::kLower:
      return classify(*text_of(subject), NameId::kIsLower);
    case TestId::kUpper:
      return classify(*text_of(subject), NameId::kIsUpper);
    case TestId::kFilter:
      if (!subject.is(Kind::kString)) return false;
      return filter_named(subject.string->view()) != FilterId::kUnknown;
    case TestId::kTest:
      if (!subject.is(Kind::kString)) return false;
      return test_named(subject.string->view()) != TestId::kUnknown;
    default:
      return false;
  }
}

}  // namespace espalier::runtime::jinja
