// The animation library that lets tabs be dragged would be a tenth of the page's own code.
import { createElement } from 'react';

const Group = ({ values, onReorder, axis, ...props }) => createElement('ul', props);
const Item = ({ value, dragElastic, ...props }) => createElement('li', props);

export const Reorder = { Group, Item };
