// Reads {rule: [values]} from standard input and writes, per rule, the values that the catalog's validators refuse.
import { CommonValidatorFunctions, makeValidator } from '@backstage/catalog-model';
import { text } from 'node:stream/consumers';

const { isValidEntityName, isValidTag, isValidAnnotationKey } = makeValidator();
const validators = {
  names: isValidEntityName,
  tags: isValidTag,
  annotationKeys: isValidAnnotationKey,
  links: CommonValidatorFunctions.isValidUrl,
};

const values = JSON.parse(await text(process.stdin));
const refused = Object.entries(values).map(([rule, each]) => [rule, each.filter(value => !validators[rule](value))]);
console.log(JSON.stringify(Object.fromEntries(refused)));
